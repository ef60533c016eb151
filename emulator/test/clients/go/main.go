// Runs cloud.google.com/go/pubsub/v2 against the emulator at PUBSUB_EMULATOR_HOST.
//
// It prints a line for each step, and ends with an error at the first that fails.
// It wants to be told on stdin that the emulator was killed and started again.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	project      = "go"
	messageCount = 10_000
	wait         = 30 * time.Second
)

// What is expected of each step is checked by panics; main turns them into an exit.
type program struct {
	ctx    context.Context
	client *pubsub.Client
}

func topicPath(name string) string        { return "projects/" + project + "/topics/" + name }
func subscriptionPath(name string) string { return "projects/" + project + "/subscriptions/" + name }

func check(isRight bool, format string, values ...any) {
	if !isRight {
		panic(fmt.Errorf(format, values...))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func texts(count int, prefix string) []string {
	all := make([]string, count)
	for number := range all {
		all[number] = prefix + strconv.Itoa(number)
	}
	return all
}

// create makes a topic and its subscription, whose other settings are given.
func (p *program) create(name string, settings *pb.Subscription) {
	must(p.client.TopicAdminClient.CreateTopic(p.ctx, &pb.Topic{Name: topicPath(name)}))
	settings.Name = subscriptionPath(name)
	settings.Topic = topicPath(name)
	must(p.client.SubscriptionAdminClient.CreateSubscription(p.ctx, settings))
}

// publish returns the message ids when all are confirmed.
func (p *program) publish(name string, messages ...*pubsub.Message) []string {
	publisher := p.client.Publisher(name)
	publisher.EnableMessageOrdering = true
	publisher.PublishSettings.EnableCompression = true
	defer publisher.Stop()
	var results []*pubsub.PublishResult
	for _, message := range messages {
		results = append(results, publisher.Publish(p.ctx, message))
	}
	var ids []string
	for _, result := range results {
		ids = append(ids, must(result.Get(p.ctx)))
	}
	return ids
}

func (p *program) publishTexts(name string, all []string) []string {
	var messages []*pubsub.Message
	for _, text := range all {
		messages = append(messages, &pubsub.Message{Data: []byte(text)})
	}
	return p.publish(name, messages...)
}

// receiving opens a streaming pull until close is called.
func (p *program) receiving(name string) (receive func() *pubsub.Message, close func()) {
	ctx, cancel := context.WithCancel(p.ctx)
	messages := make(chan *pubsub.Message, 1_000)
	ended := make(chan error, 1)
	go func() {
		ended <- p.client.Subscriber(name).Receive(ctx, func(_ context.Context, message *pubsub.Message) {
			messages <- message
		})
	}()
	receive = func() *pubsub.Message {
		select {
		case message := <-messages:
			return message
		case err := <-ended:
			panic(fmt.Errorf("receiving from %s ended: %v", name, err))
		case <-time.After(wait):
			panic(fmt.Errorf("no message of %s in %s", name, wait))
		}
	}
	close = func() {
		cancel()
		select {
		case err := <-ended:
			check(err == nil, "receiving from %s ended: %v", name, err)
		case <-time.After(wait):
			panic(fmt.Errorf("receiving from %s did not end", name))
		}
	}
	return receive, close
}

// receiveTexts acks so many messages and returns what they say, sorted.
func (p *program) receiveTexts(name string, count int) []string {
	receive, close := p.receiving(name)
	var all []string
	for range count {
		message := receive()
		all = append(all, string(message.Data))
		message.Ack()
	}
	close()
	slices.Sort(all)
	return all
}

func (p *program) seek(name string, to time.Time) {
	must(p.client.SubscriptionAdminClient.Seek(p.ctx, &pb.SeekRequest{
		Subscription: subscriptionPath(name),
		Target:       &pb.SeekRequest_Time{Time: timestamppb.New(to)},
	}))
}

// checkNothingLeft seeks first: that makes what is unacked deliverable, whether it is outstanding or not.
func (p *program) checkNothingLeft(name string) {
	p.seek(name, time.Now().Add(-time.Hour))
	response := must(p.client.SubscriptionAdminClient.Pull(p.ctx, &pb.PullRequest{
		Subscription:      subscriptionPath(name),
		MaxMessages:       10,
		ReturnImmediately: true,
	}))
	check(len(response.ReceivedMessages) == 0, "all was acked, and left is %v", response.ReceivedMessages)
}

func administer(p *program) {
	topics, subscriptions := p.client.TopicAdminClient, p.client.SubscriptionAdminClient
	p.create("admin", &pb.Subscription{Labels: map[string]string{"team": "shop"}})
	_, err := topics.CreateTopic(p.ctx, &pb.Topic{Name: topicPath("admin")})
	check(status.Code(err) == codes.AlreadyExists, "created a topic twice: %v", err)
	listed := topics.ListTopics(p.ctx, &pb.ListTopicsRequest{Project: "projects/" + project, PageSize: 1})
	check(must(listed.Next()).Name == topicPath("admin"), "a topic is not listed")
	_, err = listed.Next()
	check(err == iterator.Done, "more than one topic is listed: %v", err)
	updated := must(subscriptions.UpdateSubscription(p.ctx, &pb.UpdateSubscriptionRequest{
		Subscription: &pb.Subscription{Name: subscriptionPath("admin"), AckDeadlineSeconds: 42},
		UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"ack_deadline_seconds"}},
	}))
	check(updated.AckDeadlineSeconds == 42 && updated.Labels["team"] == "shop", "updated: %v", updated)
	err = subscriptions.DeleteSubscription(p.ctx, &pb.DeleteSubscriptionRequest{Subscription: subscriptionPath("admin")})
	check(err == nil, "delete a subscription: %v", err)
	err = topics.DeleteTopic(p.ctx, &pb.DeleteTopicRequest{Topic: topicPath("admin")})
	check(err == nil, "delete a topic: %v", err)
	_, err = topics.GetTopic(p.ctx, &pb.GetTopicRequest{Topic: topicPath("admin")})
	check(status.Code(err) == codes.NotFound, "found a deleted topic: %v", err)
}

func publishMany(p *program) {
	p.create("many", &pb.Subscription{})
	ids := p.publishTexts("many", texts(messageCount, ""))
	slices.Sort(ids)
	check(len(slices.Compact(ids)) == messageCount, "not every message has an id of its own")
}

func receiveMany(p *program) {
	received := p.receiveTexts("many", messageCount)
	check(len(slices.Compact(received)) == messageCount, "some of %d were delivered twice", messageCount)
	p.checkNothingLeft("many")
}

func sendLarge(p *program) {
	p.create("large", &pb.Subscription{})
	data := bytes.Repeat([]byte("x"), 9_000_000)
	p.publish("large", &pubsub.Message{Data: data})
	received := p.receiveTexts("large", 1)
	check(received[0] == string(data), "%d of 9 MB came back", len(received[0]))
}

func keepOrder(p *program) {
	p.create("ordered", &pb.Subscription{EnableMessageOrdering: true})
	keys := texts(5, "key-")
	var messages []*pubsub.Message
	for _, text := range texts(20, "") {
		for _, key := range keys {
			messages = append(messages, &pubsub.Message{Data: []byte(text), OrderingKey: key})
		}
	}
	p.publish("ordered", messages...)
	sequences := map[string][]int{}
	// Complete when it ends with 19, and 7 came again.
	isComplete := func(key string) bool {
		sequence := sequences[key]
		first := slices.Index(sequence, 7)
		return first >= 0 && slices.Contains(sequence[first+1:], 7) && sequence[len(sequence)-1] == 19
	}
	receive, close := p.receiving("ordered")
	for slices.ContainsFunc(keys, func(key string) bool { return !isComplete(key) }) {
		message := receive()
		key, number := message.OrderingKey, must(strconv.Atoi(string(message.Data)))
		if number == 7 && !slices.Contains(sequences[key], 7) {
			message.Nack()
		} else {
			message.Ack()
		}
		sequences[key] = append(sequences[key], number)
	}
	close()
	for key, sequence := range sequences {
		before := -1
		for _, number := range sequence {
			// A redelivery goes back; nothing ever goes ahead over a gap.
			check(number <= before+1, "%s: %v", key, sequence)
			before = number
		}
	}
	p.checkNothingLeft("ordered")
}

func findDeadLetter(p *program) {
	p.create("dead-letters", &pb.Subscription{})
	p.create("rejected", &pb.Subscription{DeadLetterPolicy: &pb.DeadLetterPolicy{
		DeadLetterTopic:     topicPath("dead-letters"),
		MaxDeliveryAttempts: 5,
	}})
	p.publish("rejected", &pubsub.Message{Data: []byte("poison"), Attributes: map[string]string{"kind": "test"}})
	receive, close := p.receiving("rejected")
	for attempt := 1; attempt <= 5; attempt++ {
		message := receive()
		check(*message.DeliveryAttempt == attempt, "delivery attempt %d is %d", attempt, *message.DeliveryAttempt)
		message.Nack()
	}
	receiveDead, closeDead := p.receiving("dead-letters")
	dead := receiveDead()
	dead.Ack()
	closeDead()
	close()
	const prefix = "CloudPubSubDeadLetterSource"
	published := dead.Attributes[prefix+"TopicPublishTime"]
	check(strings.HasSuffix(published, "Z"), "published %q", published)
	check(maps.Equal(dead.Attributes, map[string]string{
		"kind":                         "test",
		prefix + "DeliveryCount":       "5",
		prefix + "Subscription":        "rejected",
		prefix + "SubscriptionProject": project,
		prefix + "TopicPublishTime":    published,
	}), "dead letter with %v", dead.Attributes)
	check(string(dead.Data) == "poison", "dead letter %q", dead.Data)
	p.checkNothingLeft("rejected")
}

func replay(p *program) {
	p.create("replayed", &pb.Subscription{RetainAckedMessages: true})
	snapshot := "projects/" + project + "/snapshots/before"
	subscriptions := p.client.SubscriptionAdminClient
	must(subscriptions.CreateSnapshot(p.ctx, &pb.CreateSnapshotRequest{
		Name:         snapshot,
		Subscription: subscriptionPath("replayed"),
	}))
	first, second := texts(10, "first-"), texts(10, "second-")
	p.publishTexts("replayed", first)
	check(slices.Equal(p.receiveTexts("replayed", 10), first), "the first ten were not received")
	p.publishTexts("replayed", second)
	receive, close := p.receiving("replayed")
	since := time.Now()
	for range second {
		message := receive()
		if message.PublishTime.Before(since) {
			since = message.PublishTime
		}
		message.Ack()
	}
	close()
	p.seek("replayed", since)
	replayed := p.receiveTexts("replayed", 10)
	check(slices.Equal(replayed, second), "a seek to a time replayed %v", replayed)
	must(subscriptions.Seek(p.ctx, &pb.SeekRequest{
		Subscription: subscriptionPath("replayed"),
		Target:       &pb.SeekRequest_Snapshot{Snapshot: snapshot},
	}))
	replayed = p.receiveTexts("replayed", 20)
	check(slices.Equal(replayed, append(first, second...)), "a seek to a snapshot replayed %v", replayed)
}

func confirmAcks(p *program) {
	p.create("exactly-once", &pb.Subscription{EnableExactlyOnceDelivery: true})
	p.publishTexts("exactly-once", texts(20, ""))
	receive, close := p.receiving("exactly-once")
	last := receive()
	var results []*pubsub.AckResult
	for range 19 {
		results = append(results, receive().AckWithResult())
	}
	for _, result := range results {
		outcome, err := result.Get(p.ctx)
		check(outcome == pubsub.AcknowledgeStatusSuccess, "an ack was answered with %v: %v", outcome, err)
	}
	// Purged, so that its ack id is no longer one.
	p.seek("exactly-once", time.Now())
	outcome, err := last.AckWithResult().Get(p.ctx)
	check(outcome == pubsub.AcknowledgeStatusInvalidAckID, "the ack of a purged message: %v, %v", outcome, err)
	close()
}

func waitOutRetryPolicy(p *program) {
	p.create("retried", &pb.Subscription{RetryPolicy: &pb.RetryPolicy{
		MinimumBackoff: durationpb.New(time.Second),
		MaximumBackoff: durationpb.New(2 * time.Second),
	}})
	p.publishTexts("retried", []string{"again"})
	receive, close := p.receiving("retried")
	message := receive()
	for range 2 {
		message.Nack()
		nacked := time.Now()
		message = receive()
		waited := time.Since(nacked)
		check(waited > 900*time.Millisecond, "redelivered %s after a nack", waited)
	}
	message.Ack()
	close()
}

func filter(p *program) {
	p.create("filtered", &pb.Subscription{Filter: `attributes.kind = "wanted"`})
	for number, text := range texts(10, "") {
		kind := []string{"wanted", "other"}[number%2]
		p.publish("filtered", &pubsub.Message{Data: []byte(text), Attributes: map[string]string{"kind": kind}})
	}
	received := p.receiveTexts("filtered", 5)
	check(slices.Equal(received, []string{"0", "2", "4", "6", "8"}), "the filter let through %v", received)
	p.checkNothingLeft("filtered")
}

// surviveRestart publishes and receives while the emulator is killed and started again.
// nackAndClose ends a subscriber right after a nack: the next one gets the message long before its deadline of 60 s.
func nackAndClose(p *program) {
	p.create("nacked", &pb.Subscription{})
	p.publishTexts("nacked", []string{"again"})
	for range 5 {
		receive, close := p.receiving("nacked")
		receive().Nack()
		close()
	}
	p.receiveTexts("nacked", 1)
	p.checkNothingLeft("nacked")
}

func surviveRestart(p *program) {
	p.create("restarted", &pb.Subscription{})
	restarted := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		restarted <- err
	}()
	publisher := p.client.Publisher("restarted")
	defer publisher.Stop()
	var results []*pubsub.PublishResult
	publishNext := func() {
		text := strconv.Itoa(len(results))
		results = append(results, publisher.Publish(p.ctx, &pubsub.Message{Data: []byte(text)}))
	}
	received := map[string]bool{}
	receive, close := p.receiving("restarted")
	take := func() {
		message := receive()
		received[string(message.Data)] = true
		message.Ack()
	}
	publishNext()
	take()
	for range 100 {
		publishNext()
	}
	fmt.Println("ready for the restart")
	deadline := time.After(wait)
	for isRestarted := false; !isRestarted; {
		select {
		case err := <-restarted:
			check(err == nil, "was not told of the restart: %v", err)
			isRestarted = true
		case <-deadline:
			panic("was not told of the restart")
		case <-time.After(5 * time.Millisecond):
			publishNext()
		}
	}
	for range 100 {
		publishNext()
	}
	for _, result := range results {
		must(result.Get(p.ctx))
	}
	for len(received) < len(results) {
		take()
	}
	close()
}

func main() {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Fprintln(os.Stderr, "FAILED:", failure)
			os.Exit(1)
		}
	}()
	ctx := context.Background()
	client := must(pubsub.NewClient(ctx, project))
	p := &program{ctx, client}
	for _, step := range []struct {
		run  func(*program)
		text string
	}{
		{administer, "created, listed, updated and deleted"},
		{publishMany, "published 10000 messages"},
		{receiveMany, "received 10000 messages, each once, and acked them"},
		{sendLarge, "published and received 9 MB"},
		{keepOrder, "kept the order of 5 keys, also after a nack"},
		{findDeadLetter, "found the dead letter after 5 deliveries"},
		{replay, "replayed by a seek to a time and to a snapshot"},
		{confirmAcks, "confirmed the acks of exactly-once delivery"},
		{waitOutRetryPolicy, "waited out the retry policy"},
		{filter, "received only what the filter lets through"},
		{nackAndClose, "received at once what a subscriber nacked while it closed"},
		{surviveRestart, "lost nothing over the restart"},
	} {
		step.run(p)
		fmt.Println(step.text)
	}
	check(client.Close() == nil, "the client did not close")
	fmt.Println("closed")
}
