"""Runs google-cloud-pubsub against the emulator at PUBSUB_EMULATOR_HOST.

Prints a line for each step, and ends with an error at the first that fails.
It wants to be told on stdin that the emulator was killed and started again.
"""

import contextlib
import datetime
import os
import queue
import sys
import threading
import time
from collections import Counter, defaultdict

import grpc
from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.exceptions import (
    AcknowledgeError,
    AcknowledgeStatus,
)
from google.cloud.pubsub_v1.types import FlowControl, PublisherOptions
from google.pubsub_v1.services.publisher.transports import (
    PublisherGrpcTransport,
)
from google.pubsub_v1.services.subscriber.transports import (
    SubscriberGrpcTransport,
)

PROJECT = "projects/python"
MESSAGE_COUNT = 10_000
WAIT_SECONDS = 30

publisher = pubsub_v1.PublisherClient(
    publisher_options=PublisherOptions(enable_message_ordering=True)
)
subscriber = pubsub_v1.SubscriberClient()


def topic_path(name):
    return f"{PROJECT}/topics/{name}"


def subscription_path(name):
    return f"{PROJECT}/subscriptions/{name}"


def check(is_right, text):
    if not is_right:
        raise SystemExit(f"FAILED: {text}")


def create(name, **settings):
    """Creates a topic and its subscription."""
    publisher.create_topic(name=topic_path(name))
    subscriber.create_subscription(
        request={
            "name": subscription_path(name),
            "topic": topic_path(name),
            **settings,
        }
    )


def publish(name, texts, using=publisher, **attributes):
    """Returns the message ids when all are confirmed."""
    confirmed = [
        using.publish(topic_path(name), text.encode(), **attributes)
        for text in texts
    ]
    return [future.result(timeout=WAIT_SECONDS) for future in confirmed]


@contextlib.contextmanager
def receiving(name, using=subscriber):
    """Gives a function that returns the next message of a streaming pull."""
    messages = queue.SimpleQueue()
    stream = using.subscribe(
        subscription_path(name),
        messages.put,
        flow_control=FlowControl(max_messages=1_000),
        await_callbacks_on_shutdown=True,
    )

    def receive():
        try:
            return messages.get(timeout=WAIT_SECONDS)
        except queue.Empty:
            raise SystemExit(
                f"FAILED: no message of {name} in {WAIT_SECONDS} s"
            ) from None

    yield receive
    stream.cancel()
    stream.result(timeout=WAIT_SECONDS)


def receive_texts(name, count, using=subscriber):
    """Acks so many messages and returns what they say."""
    texts = []
    with receiving(name, using) as receive:
        for _ in range(count):
            message = receive()
            texts.append(message.data.decode())
            message.ack()
    return texts


def check_nothing_left(name):
    """A seek makes what is unacked deliverable, also what is outstanding."""
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(
        hours=1
    )
    subscriber.seek(
        request={"subscription": subscription_path(name), "time": past}
    )
    response = subscriber.pull(
        request={
            "subscription": subscription_path(name),
            "max_messages": 10,
            "return_immediately": True,
        }
    )
    left = [received.message.data for received in response.received_messages]
    check(not left, f"still has {left}, though all was acked")


def administer():
    create("admin", labels={"team": "shop"})
    try:
        publisher.create_topic(name=topic_path("admin"))
        check(False, "created a topic twice")
    except AlreadyExists:
        pass
    topics = publisher.list_topics(
        request={"project": PROJECT, "page_size": 1}
    )
    check(
        [topic.name for topic in topics] == [topic_path("admin")],
        "topics listed",
    )
    updated = subscriber.update_subscription(
        request={
            "subscription": {
                "name": subscription_path("admin"),
                "ack_deadline_seconds": 42,
            },
            "update_mask": {"paths": ["ack_deadline_seconds"]},
        }
    )
    check(updated.ack_deadline_seconds == 42, f"updated: {updated}")
    check(dict(updated.labels) == {"team": "shop"}, f"updated: {updated}")
    subscriber.delete_subscription(subscription=subscription_path("admin"))
    publisher.delete_topic(topic=topic_path("admin"))
    try:
        publisher.get_topic(topic=topic_path("admin"))
        check(False, "found a deleted topic")
    except NotFound:
        pass


def publish_many():
    create("many")
    ids = publish("many", [f"{number}" for number in range(MESSAGE_COUNT)])
    check(len(set(ids)) == MESSAGE_COUNT, "each message has an id of its own")


def receive_many():
    counts = Counter(receive_texts("many", MESSAGE_COUNT))
    twice = [text for text, count in counts.items() if count > 1]
    check(not twice, f"delivered more than once: {twice[:10]}")
    check(len(counts) == MESSAGE_COUNT, f"received {len(counts)}")
    check_nothing_left("many")


def send_large():
    """Compressed, and more than the client reads by default here: 4 MiB."""
    create("large")
    text = "x" * 9_000_000
    channel = grpc.insecure_channel(
        os.environ["PUBSUB_EMULATOR_HOST"],
        options=[("grpc.max_receive_message_length", -1)],
        compression=grpc.Compression.Gzip,
    )
    with (
        pubsub_v1.PublisherClient(
            transport=PublisherGrpcTransport(channel=channel)
        ) as large_publisher,
        pubsub_v1.SubscriberClient(
            transport=SubscriberGrpcTransport(channel=channel)
        ) as large_subscriber,
    ):
        publish("large", [text], using=large_publisher)
        received = receive_texts("large", 1, using=large_subscriber)
    check(received == [text], "9 MB came back as they were")


def keep_order():
    create("ordered", enable_message_ordering=True)
    numbers = range(20)
    keys = [f"key-{number}" for number in range(5)]
    futures = [
        publisher.publish(
            topic_path("ordered"), b"%d" % number, ordering_key=key
        )
        for number in numbers
        for key in keys
    ]
    for future in futures:
        future.result(timeout=WAIT_SECONDS)
    sequences = defaultdict(list)
    with receiving("ordered") as receive:
        while not all(
            sequences[key].count(7) == 2 and sequences[key][-1] == 19
            for key in keys
        ):
            message = receive()
            sequence = sequences[message.ordering_key]
            sequence.append(int(message.data))
            if sequence[-1] == 7 and sequence.count(7) == 1:
                message.nack()
            else:
                message.ack()
    for key, sequence in sequences.items():
        # A redelivery goes back; nothing ever goes ahead over a gap.
        steps = zip([-1] + sequence, sequence)
        check(
            all(number <= before + 1 for before, number in steps),
            f"{key}: {sequence}",
        )
    check_nothing_left("ordered")


def find_dead_letter():
    create("dead-letters")
    create(
        "rejected",
        dead_letter_policy={
            "dead_letter_topic": topic_path("dead-letters"),
            "max_delivery_attempts": 5,
        },
    )
    publish("rejected", ["poison"], kind="test")
    attempts = []
    with receiving("rejected") as receive:
        for _ in range(5):
            message = receive()
            attempts.append(message.delivery_attempt)
            message.nack()
        check(attempts == [1, 2, 3, 4, 5], f"delivery attempts {attempts}")
        with receiving("dead-letters") as receive_dead:
            dead = receive_dead()
            dead.ack()
    prefix = "CloudPubSubDeadLetterSource"
    expected = {
        "kind": "test",
        f"{prefix}DeliveryCount": "5",
        f"{prefix}Subscription": "rejected",
        f"{prefix}SubscriptionProject": "python",
    }
    attributes = dict(dead.attributes)
    published = attributes.pop(f"{prefix}TopicPublishTime", "")
    check(published.endswith("Z"), f"published {published}")
    check(attributes == expected, f"dead letter with {attributes}")
    check(dead.data == b"poison", f"dead letter {dead.data}")
    check_nothing_left("rejected")


def replay():
    create("replayed", retain_acked_messages=True)
    path = subscription_path("replayed")
    snapshot = f"{PROJECT}/snapshots/before"
    subscriber.create_snapshot(name=snapshot, subscription=path)
    first = [f"first-{number}" for number in range(10)]
    second = [f"second-{number}" for number in range(10)]
    publish("replayed", first)
    check(sorted(receive_texts("replayed", 10)) == first, "first ten")
    publish("replayed", second)
    with receiving("replayed") as receive:
        messages = [receive() for _ in second]
        for message in messages:
            message.ack()
    since = min(message.publish_time for message in messages)
    subscriber.seek(request={"subscription": path, "time": since})
    replayed = sorted(receive_texts("replayed", 10))
    check(replayed == second, f"seek to a time replayed {replayed}")
    subscriber.seek(request={"subscription": path, "snapshot": snapshot})
    replayed = sorted(receive_texts("replayed", 20))
    check(
        replayed == first + second, f"seek to a snapshot replayed {replayed}"
    )


def confirm_acks():
    create("exactly-once", enable_exactly_once_delivery=True)
    publish("exactly-once", [f"{number}" for number in range(20)])
    with receiving("exactly-once") as receive:
        *messages, last = [receive() for _ in range(20)]
        answers = [message.ack_with_response() for message in messages]
        for answer in answers:
            status = answer.result(timeout=WAIT_SECONDS)
            check(status == AcknowledgeStatus.SUCCESS, f"ack: {status}")
        # Purged, so that its ack id is no longer one.
        subscriber.seek(
            request={
                "subscription": subscription_path("exactly-once"),
                "time": datetime.datetime.now(datetime.timezone.utc),
            }
        )
        try:
            last.ack_with_response().result(timeout=WAIT_SECONDS)
            check(False, "the ack of a purged message was confirmed")
        except AcknowledgeError as error:
            check(
                error.error_code == AcknowledgeStatus.INVALID_ACK_ID,
                f"ack: {error}",
            )


def wait_out_retry_policy():
    create(
        "retried",
        retry_policy={
            "minimum_backoff": datetime.timedelta(seconds=1),
            "maximum_backoff": datetime.timedelta(seconds=2),
        },
    )
    publish("retried", ["again"])
    with receiving("retried") as receive:
        message = receive()
        for _ in range(2):
            message.nack()
            nacked = time.monotonic()
            message = receive()
            waited = time.monotonic() - nacked
            check(waited > 0.9, f"redelivered {waited:.1f} s after a nack")
        message.ack()


def filter_messages():
    create("filtered", filter='attributes.kind = "wanted"')
    for number in range(10):
        publish(
            "filtered", [f"{number}"], kind="other" if number % 2 else "wanted"
        )
    texts = sorted(receive_texts("filtered", 5))
    check(texts == ["0", "2", "4", "6", "8"], f"filtered: {texts}")
    check_nothing_left("filtered")


def nack_and_close():
    """A subscriber ends right after a nack, and the next gets the message."""
    create("nacked", ack_deadline_seconds=600)
    publish("nacked", ["again"])
    for _ in range(5):
        with receiving("nacked") as receive:
            receive().nack()
    receive_texts("nacked", 1)
    check_nothing_left("nacked")


def survive_restart():
    """Publishes and receives while the emulator is killed and restarted."""
    create("restarted")
    restarted = threading.Event()
    threading.Thread(
        target=lambda: sys.stdin.readline() and restarted.set(), daemon=True
    ).start()
    futures = []
    received = set()
    with receiving("restarted") as receive:

        def publish_next():
            text = f"{len(futures)}".encode()
            futures.append(publisher.publish(topic_path("restarted"), text))

        def take():
            message = receive()
            received.add(int(message.data))
            message.ack()

        publish_next()
        take()
        for _ in range(100):
            publish_next()
        say("ready for the restart")
        deadline = time.monotonic() + WAIT_SECONDS
        while not restarted.wait(0.005):
            check(time.monotonic() < deadline, "was not told of the restart")
            publish_next()
        for _ in range(100):
            publish_next()
        for future in futures:
            future.result(timeout=WAIT_SECONDS)
        while len(received) < len(futures):
            take()


def say(text):
    print(text, flush=True)


STEPS = [
    (administer, "created, listed, updated and deleted"),
    (publish_many, "published 10000 messages"),
    (receive_many, "received 10000 messages, each once, and acked them"),
    (send_large, "published and received 9 MB"),
    (keep_order, "kept the order of 5 keys, also after a nack"),
    (find_dead_letter, "found the dead letter after 5 deliveries"),
    (replay, "replayed by a seek to a time and to a snapshot"),
    (confirm_acks, "confirmed the acks of exactly-once delivery"),
    (wait_out_retry_policy, "waited out the retry policy"),
    (filter_messages, "received only what the filter lets through"),
    (nack_and_close, "received at once what a subscriber nacked while it closed"),
    (survive_restart, "lost nothing over the restart"),
]


def main():
    with publisher, subscriber:
        for step, text in STEPS:
            step()
            say(text)
    say("closed")


main()
