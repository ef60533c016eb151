import com.google.api.core.ApiFuture;
import com.google.api.core.ApiFutures;
import com.google.api.gax.core.CredentialsProvider;
import com.google.api.gax.core.NoCredentialsProvider;
import com.google.api.gax.grpc.GrpcTransportChannel;
import com.google.api.gax.rpc.AlreadyExistsException;
import com.google.api.gax.rpc.FixedTransportChannelProvider;
import com.google.api.gax.rpc.NotFoundException;
import com.google.api.gax.rpc.TransportChannelProvider;
import com.google.cloud.pubsub.v1.AckReplyConsumerWithResponse;
import com.google.cloud.pubsub.v1.AckResponse;
import com.google.cloud.pubsub.v1.MessageReceiverWithAckResponse;
import com.google.cloud.pubsub.v1.Publisher;
import com.google.cloud.pubsub.v1.Subscriber;
import com.google.cloud.pubsub.v1.SubscriptionAdminClient;
import com.google.cloud.pubsub.v1.SubscriptionAdminSettings;
import com.google.cloud.pubsub.v1.TopicAdminClient;
import com.google.cloud.pubsub.v1.TopicAdminSettings;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.FieldMask;
import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Timestamps;
import com.google.pubsub.v1.DeadLetterPolicy;
import com.google.pubsub.v1.ListTopicsRequest;
import com.google.pubsub.v1.PubsubMessage;
import com.google.pubsub.v1.PullRequest;
import com.google.pubsub.v1.RetryPolicy;
import com.google.pubsub.v1.SeekRequest;
import com.google.pubsub.v1.Subscription;
import com.google.pubsub.v1.UpdateSubscriptionRequest;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Runs com.google.cloud:google-cloud-pubsub against the emulator at PUBSUB_EMULATOR_HOST.
 *
 * <p>It prints a line for each step, and ends with an error at the first that fails. It wants to be
 * told on stdin that the emulator was killed and started again.
 */
public final class Client {
  private static final String PROJECT = "java";
  private static final int MESSAGE_COUNT = 10_000;
  private static final int WAIT_SECONDS = 30;

  private interface Step {
    void run() throws Exception;
  }

  private record Received(PubsubMessage message, AckReplyConsumerWithResponse reply) {
    String text() {
      return message.getData().toStringUtf8();
    }
  }

  private final CredentialsProvider credentials = NoCredentialsProvider.create();
  private final ManagedChannel channel =
      ManagedChannelBuilder.forTarget(System.getenv("PUBSUB_EMULATOR_HOST"))
          .usePlaintext()
          .maxInboundMessageSize(20_000_000)
          .build();
  private final TransportChannelProvider channelProvider =
      FixedTransportChannelProvider.create(GrpcTransportChannel.create(channel));
  private final TopicAdminClient topics =
      TopicAdminClient.create(
          TopicAdminSettings.newBuilder()
              .setTransportChannelProvider(channelProvider)
              .setCredentialsProvider(credentials)
              .build());
  private final SubscriptionAdminClient subscriptions =
      SubscriptionAdminClient.create(
          SubscriptionAdminSettings.newBuilder()
              .setTransportChannelProvider(channelProvider)
              .setCredentialsProvider(credentials)
              .build());

  private Client() throws Exception {}

  private static String topicPath(String name) {
    return "projects/" + PROJECT + "/topics/" + name;
  }

  private static String subscriptionPath(String name) {
    return "projects/" + PROJECT + "/subscriptions/" + name;
  }

  private static void check(boolean isRight, String text) {
    if (!isRight) {
      throw new IllegalStateException("FAILED: " + text);
    }
  }

  private static List<String> texts(int count, String prefix) {
    return IntStream.range(0, count).mapToObj(number -> prefix + number).toList();
  }

  private static PubsubMessage.Builder message(String text) {
    return PubsubMessage.newBuilder().setData(ByteString.copyFromUtf8(text));
  }

  /** Makes a topic and its subscription, whose other settings are given. */
  private void create(String name, Subscription.Builder settings) {
    topics.createTopic(topicPath(name));
    subscriptions.createSubscription(
        settings.setName(subscriptionPath(name)).setTopic(topicPath(name)).build());
  }

  private Publisher publisher(String name) throws Exception {
    return Publisher.newBuilder(topicPath(name))
        .setChannelProvider(channelProvider)
        .setCredentialsProvider(credentials)
        .setEnableMessageOrdering(true)
        .setEnableCompression(true)
        .build();
  }

  /** Returns the message ids when all are confirmed. */
  private List<String> publish(String name, Stream<PubsubMessage.Builder> messages)
      throws Exception {
    Publisher publisher = publisher(name);
    List<ApiFuture<String>> ids =
        messages.map(message -> publisher.publish(message.build())).toList();
    publisher.publishAllOutstanding();
    List<String> confirmed = ApiFutures.allAsList(ids).get(WAIT_SECONDS, TimeUnit.SECONDS);
    publisher.shutdown();
    check(
        publisher.awaitTermination(WAIT_SECONDS, TimeUnit.SECONDS),
        "a publisher did not shut down");
    return confirmed;
  }

  private List<String> publishTexts(String name, List<String> texts) throws Exception {
    return publish(name, texts.stream().map(Client::message));
  }

  /** Streaming pulls until it is closed. */
  private final class Receiver implements AutoCloseable {
    private final BlockingQueue<Received> queue = new LinkedBlockingQueue<>();
    private final Subscriber subscriber;

    Receiver(String name) {
      MessageReceiverWithAckResponse receive =
          (message, reply) -> queue.add(new Received(message, reply));
      subscriber =
          Subscriber.newBuilder(subscriptionPath(name), receive)
              .setChannelProvider(channelProvider)
              .setCredentialsProvider(credentials)
              .build();
      subscriber.startAsync().awaitRunning();
    }

    Received next() throws Exception {
      Received received = queue.poll(WAIT_SECONDS, TimeUnit.SECONDS);
      check(
          received != null,
          "no message of " + subscriber.getSubscriptionNameString() + " in " + WAIT_SECONDS + " s");
      return received;
    }

    @Override
    public void close() throws Exception {
      subscriber.stopAsync().awaitTerminated(WAIT_SECONDS, TimeUnit.SECONDS);
    }
  }

  /** Acks so many messages and returns what they say, sorted. */
  private List<String> receiveTexts(String name, int count) throws Exception {
    List<String> texts = new ArrayList<>();
    try (Receiver receiver = new Receiver(name)) {
      while (texts.size() < count) {
        Received received = receiver.next();
        texts.add(received.text());
        received.reply().ack();
      }
    }
    return texts.stream().sorted().toList();
  }

  private void seek(String name, Timestamp time) {
    subscriptions.seek(
        SeekRequest.newBuilder().setSubscription(subscriptionPath(name)).setTime(time).build());
  }

  private static Timestamp now() {
    return Timestamps.fromMillis(System.currentTimeMillis());
  }

  /** A seek makes what is unacked deliverable, whether it is outstanding or not. */
  @SuppressWarnings("deprecation")
  private void checkNothingLeft(String name) {
    seek(name, Timestamps.fromMillis(System.currentTimeMillis() - 3_600_000));
    var left =
        subscriptions
            .pullCallable()
            .call(
                PullRequest.newBuilder()
                    .setSubscription(subscriptionPath(name))
                    .setMaxMessages(10)
                    .setReturnImmediately(true)
                    .build())
            .getReceivedMessagesList();
    check(left.isEmpty(), "all was acked, and left is " + left);
  }

  private void administer() {
    create("admin", Subscription.newBuilder().putLabels("team", "shop"));
    try {
      topics.createTopic(topicPath("admin"));
      check(false, "created a topic twice");
    } catch (AlreadyExistsException expected) {
      // As it has to be.
    }
    var listed = new ArrayList<String>();
    var request =
        ListTopicsRequest.newBuilder().setProject("projects/" + PROJECT).setPageSize(1).build();
    topics.listTopics(request).iterateAll().forEach(topic -> listed.add(topic.getName()));
    check(listed.equals(List.of(topicPath("admin"))), "topics listed: " + listed);
    Subscription updated =
        subscriptions.updateSubscription(
            UpdateSubscriptionRequest.newBuilder()
                .setSubscription(
                    Subscription.newBuilder()
                        .setName(subscriptionPath("admin"))
                        .setAckDeadlineSeconds(42))
                .setUpdateMask(FieldMask.newBuilder().addPaths("ack_deadline_seconds"))
                .build());
    check(
        updated.getAckDeadlineSeconds() == 42
            && updated.getLabelsMap().equals(Map.of("team", "shop")),
        "updated: " + updated);
    subscriptions.deleteSubscription(subscriptionPath("admin"));
    topics.deleteTopic(topicPath("admin"));
    try {
      topics.getTopic(topicPath("admin"));
      check(false, "found a deleted topic");
    } catch (NotFoundException expected) {
      // As it has to be.
    }
  }

  private void publishMany() throws Exception {
    create("many", Subscription.newBuilder());
    List<String> ids = publishTexts("many", texts(MESSAGE_COUNT, ""));
    check(new HashSet<>(ids).size() == MESSAGE_COUNT, "not every message has an id of its own");
  }

  private void receiveMany() throws Exception {
    List<String> received = receiveTexts("many", MESSAGE_COUNT);
    check(new HashSet<>(received).size() == MESSAGE_COUNT, "some were delivered twice");
    checkNothingLeft("many");
  }

  private void sendLarge() throws Exception {
    create("large", Subscription.newBuilder());
    String text = "x".repeat(9_000_000);
    publishTexts("large", List.of(text));
    check(receiveTexts("large", 1).equals(List.of(text)), "not the 9 MB that were published");
  }

  private void keepOrder() throws Exception {
    create("ordered", Subscription.newBuilder().setEnableMessageOrdering(true));
    List<String> keys = texts(5, "key-");
    publish(
        "ordered",
        texts(20, "").stream()
            .flatMap(text -> keys.stream().map(key -> message(text).setOrderingKey(key))));
    Map<String, List<Integer>> sequences = new LinkedHashMap<>();
    keys.forEach(key -> sequences.put(key, new ArrayList<>()));
    try (Receiver receiver = new Receiver("ordered")) {
      while (!sequences.values().stream().allMatch(Client::isComplete)) {
        Received received = receiver.next();
        List<Integer> sequence = sequences.get(received.message().getOrderingKey());
        int number = Integer.parseInt(received.text());
        if (number == 7 && !sequence.contains(7)) {
          received.reply().nack();
        } else {
          received.reply().ack();
        }
        sequence.add(number);
      }
    }
    sequences.forEach(
        (key, sequence) -> {
          int before = -1;
          for (int number : sequence) {
            // A redelivery goes back; nothing ever goes ahead over a gap.
            check(number <= before + 1, key + ": " + sequence);
            before = number;
          }
        });
    checkNothingLeft("ordered");
  }

  /** It ends with 19, and 7 came again. */
  private static boolean isComplete(List<Integer> sequence) {
    return sequence.indexOf(7) != sequence.lastIndexOf(7)
        && sequence.get(sequence.size() - 1) == 19;
  }

  private void findDeadLetter() throws Exception {
    create("dead-letters", Subscription.newBuilder());
    var policy =
        DeadLetterPolicy.newBuilder()
            .setDeadLetterTopic(topicPath("dead-letters"))
            .setMaxDeliveryAttempts(5);
    create("rejected", Subscription.newBuilder().setDeadLetterPolicy(policy));
    publish("rejected", Stream.of(message("poison").putAttributes("kind", "test")));
    PubsubMessage dead;
    try (Receiver receiver = new Receiver("rejected");
        Receiver deadReceiver = new Receiver("dead-letters")) {
      for (int attempt = 1; attempt <= 5; attempt++) {
        Received received = receiver.next();
        Integer given = Subscriber.getDeliveryAttempt(received.message());
        check(given == attempt, "delivery attempt " + attempt + " is " + given);
        received.reply().nack();
      }
      Received received = deadReceiver.next();
      received.reply().ack();
      dead = received.message();
    }
    String prefix = "CloudPubSubDeadLetterSource";
    Map<String, String> attributes = new HashMap<>(dead.getAttributesMap());
    String published = attributes.remove(prefix + "TopicPublishTime");
    check(published != null && published.endsWith("Z"), "published " + published);
    check(
        attributes.equals(
            Map.of(
                "kind",
                "test",
                prefix + "DeliveryCount",
                "5",
                prefix + "Subscription",
                "rejected",
                prefix + "SubscriptionProject",
                PROJECT)),
        "dead letter with " + attributes);
    check(dead.getData().toStringUtf8().equals("poison"), "dead letter " + dead.getData());
    checkNothingLeft("rejected");
  }

  private void replay() throws Exception {
    create("replayed", Subscription.newBuilder().setRetainAckedMessages(true));
    String snapshot = "projects/" + PROJECT + "/snapshots/before";
    subscriptions.createSnapshot(snapshot, subscriptionPath("replayed"));
    List<String> first = texts(10, "first-");
    List<String> second = texts(10, "second-");
    publishTexts("replayed", first);
    check(receiveTexts("replayed", 10).equals(first), "the first ten were not received");
    publishTexts("replayed", second);
    List<Timestamp> times = new ArrayList<>();
    try (Receiver receiver = new Receiver("replayed")) {
      while (times.size() < 10) {
        Received received = receiver.next();
        times.add(received.message().getPublishTime());
        received.reply().ack();
      }
    }
    seek("replayed", times.stream().min(Timestamps.comparator()).orElseThrow());
    List<String> replayed = receiveTexts("replayed", 10);
    check(replayed.equals(second), "a seek to a time replayed " + replayed);
    subscriptions.seek(
        SeekRequest.newBuilder()
            .setSubscription(subscriptionPath("replayed"))
            .setSnapshot(snapshot)
            .build());
    replayed = receiveTexts("replayed", 20);
    check(
        replayed.equals(Stream.concat(first.stream(), second.stream()).toList()),
        "a seek to a snapshot replayed " + replayed);
  }

  private void confirmAcks() throws Exception {
    create("exactly-once", Subscription.newBuilder().setEnableExactlyOnceDelivery(true));
    publishTexts("exactly-once", texts(20, ""));
    try (Receiver receiver = new Receiver("exactly-once")) {
      Received last = receiver.next();
      List<ApiFuture<AckResponse>> answers = new ArrayList<>();
      while (answers.size() < 19) {
        answers.add(receiver.next().reply().ack());
      }
      for (AckResponse answer : ApiFutures.allAsList(answers).get(WAIT_SECONDS, TimeUnit.SECONDS)) {
        check(answer == AckResponse.SUCCESSFUL, "an ack was answered with " + answer);
      }
      // Purged, so that its ack id is no longer one.
      seek("exactly-once", now());
      AckResponse answer = last.reply().ack().get(WAIT_SECONDS, TimeUnit.SECONDS);
      check(answer == AckResponse.INVALID, "the ack of a purged message: " + answer);
    }
  }

  private void waitOutRetryPolicy() throws Exception {
    var policy =
        RetryPolicy.newBuilder()
            .setMinimumBackoff(Duration.newBuilder().setSeconds(1))
            .setMaximumBackoff(Duration.newBuilder().setSeconds(2));
    create("retried", Subscription.newBuilder().setRetryPolicy(policy));
    publishTexts("retried", List.of("again"));
    try (Receiver receiver = new Receiver("retried")) {
      Received received = receiver.next();
      for (int count = 0; count < 2; count++) {
        received.reply().nack();
        long nacked = System.nanoTime();
        received = receiver.next();
        long waitedMs = (System.nanoTime() - nacked) / 1_000_000;
        check(waitedMs > 900, "redelivered " + waitedMs + " ms after a nack");
      }
      received.reply().ack();
    }
  }

  private void filter() throws Exception {
    create("filtered", Subscription.newBuilder().setFilter("attributes.kind = \"wanted\""));
    publish(
        "filtered",
        IntStream.range(0, 10)
            .mapToObj(
                number ->
                    message("" + number)
                        .putAttributes("kind", number % 2 == 0 ? "wanted" : "other")));
    List<String> received = receiveTexts("filtered", 5);
    check(received.equals(List.of("0", "2", "4", "6", "8")), "the filter let through " + received);
    checkNothingLeft("filtered");
  }

  /** A subscriber ends right after a nack, and the next gets the message. */
  private void nackAndClose() throws Exception {
    create("nacked", Subscription.newBuilder().setAckDeadlineSeconds(600));
    publishTexts("nacked", List.of("again"));
    for (int round = 0; round < 5; round++) {
      try (Receiver receiver = new Receiver("nacked")) {
        receiver.next().reply().nack();
      }
    }
    receiveTexts("nacked", 1);
    checkNothingLeft("nacked");
  }

  /** Publishes and receives while the emulator is killed and started again. */
  private void surviveRestart() throws Exception {
    create("restarted", Subscription.newBuilder());
    Publisher publisher = publisher("restarted");
    List<ApiFuture<String>> publishes = new ArrayList<>();
    Runnable publishNext =
        () -> publishes.add(publisher.publish(message("" + publishes.size()).build()));
    Set<String> texts = new HashSet<>();
    try (Receiver receiver = new Receiver("restarted")) {
      Step take =
          () -> {
            Received received = receiver.next();
            texts.add(received.text());
            received.reply().ack();
          };
      publishNext.run();
      take.run();
      for (int count = 0; count < 100; count++) {
        publishNext.run();
      }
      CompletableFuture<Boolean> restarted =
          CompletableFuture.supplyAsync(() -> new Scanner(System.in).hasNextLine());
      System.out.println("ready for the restart");
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
      while (!restarted.isDone()) {
        check(System.nanoTime() < deadline, "was not told of the restart");
        publishNext.run();
        Thread.sleep(5);
      }
      check(restarted.get(), "was not told of the restart");
      for (int count = 0; count < 100; count++) {
        publishNext.run();
      }
      ApiFutures.allAsList(publishes).get(WAIT_SECONDS, TimeUnit.SECONDS);
      while (texts.size() < publishes.size()) {
        take.run();
      }
    }
    publisher.shutdown();
    check(
        publisher.awaitTermination(WAIT_SECONDS, TimeUnit.SECONDS),
        "a publisher did not shut down");
  }

  private void close() throws Exception {
    topics.close();
    subscriptions.close();
    channel.shutdown();
    check(
        channel.awaitTermination(WAIT_SECONDS, TimeUnit.SECONDS), "the channel did not shut down");
  }

  private static void step(String text, Step step) throws Exception {
    step.run();
    System.out.println(text);
  }

  public static void main(String[] arguments) {
    try {
      runSteps(new Client());
    } catch (Exception failure) {
      failure.printStackTrace();
      // Threads of the library would keep the process.
      System.exit(1);
    }
  }

  private static void runSteps(Client client) throws Exception {
    step("created, listed, updated and deleted", client::administer);
    step("published 10000 messages", client::publishMany);
    step("received 10000 messages, each once, and acked them", client::receiveMany);
    step("published and received 9 MB", client::sendLarge);
    step("kept the order of 5 keys, also after a nack", client::keepOrder);
    step("found the dead letter after 5 deliveries", client::findDeadLetter);
    step("replayed by a seek to a time and to a snapshot", client::replay);
    step("confirmed the acks of exactly-once delivery", client::confirmAcks);
    step("waited out the retry policy", client::waitOutRetryPolicy);
    step("received only what the filter lets through", client::filter);
    step("received at once what a subscriber nacked while it closed", client::nackAndClose);
    step("lost nothing over the restart", client::surviveRestart);
    step("closed", client::close);
  }
}
