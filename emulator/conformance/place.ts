/** Where a check runs: a project of its own on the emulator under test, with what checks arrange again and again. */
import assert from 'node:assert/strict';
import type pubsub from '@google-cloud/pubsub/build/protos/protos.js';
import { type Client, createClient } from './client.ts';
import { ackIdsOf, type PullStream, type Received, type StreamRequest } from './pull-stream.ts';
import type { Server, StartOptions } from './servers.ts';

export type TopicSettings = pubsub.google.pubsub.v1.ITopic;
export type SubscriptionSettings = pubsub.google.pubsub.v1.ISubscription;
export type NewMessage = pubsub.google.pubsub.v1.IPubsubMessage;

export interface Subscribed {
  topic: string;
  subscription: string;
}

/** As long as a waiting Pull is asked for; a redelivery takes up to 20 s. */
const pullMs = 30_000;

export class Place {
  readonly project: string;
  readonly client: Client;
  readonly publisher: ReturnType<Client['publisher']>;
  readonly subscriber: ReturnType<Client['subscriber']>;
  /** Starts another emulator of the same kind, ended with the check. */
  readonly start: (options?: StartOptions) => Promise<Server>;

  constructor(host: string, project: string, start: (options?: StartOptions) => Promise<Server>) {
    this.project = `projects/${project}`;
    this.client = createClient(host);
    this.publisher = this.client.publisher();
    this.subscriber = this.client.subscriber();
    this.start = start;
  }

  /** The same project on another emulator. */
  at(host: string): Place {
    return new Place(host, this.project.slice('projects/'.length), this.start);
  }

  topicName(id = 'topic'): string {
    return `${this.project}/topics/${id}`;
  }

  subscriptionName(id = 'subscription'): string {
    return `${this.project}/subscriptions/${id}`;
  }

  snapshotName(id = 'snapshot'): string {
    return `${this.project}/snapshots/${id}`;
  }

  async createTopic(id = 'topic', settings: TopicSettings = {}): Promise<string> {
    const name = this.topicName(id);
    await this.publisher.createTopic({ name, ...settings });
    return name;
  }

  async createSubscription(topic: string, id = 'subscription', settings: SubscriptionSettings = {}) {
    const name = this.subscriptionName(id);
    await this.subscriber.createSubscription({ name, topic, ...settings });
    return name;
  }

  /** A topic with a subscription. */
  async subscribe(
    settings: SubscriptionSettings = {},
    topicSettings: TopicSettings = {},
  ): Promise<Subscribed> {
    const topic = await this.createTopic('topic', topicSettings);
    return { topic, subscription: await this.createSubscription(topic, 'subscription', settings) };
  }

  /** @returns the message ids. */
  async publish(topic: string, ...messages: (string | NewMessage)[]): Promise<string[]> {
    const full = messages.map((one) => (typeof one === 'string' ? { data: Buffer.from(one) } : one));
    return (await this.publisher.publish({ topic, messages: full })).messageIds;
  }

  /** Each text with `orderingKey`. */
  publishOrdered(topic: string, orderingKey: string, ...texts: string[]): Promise<string[]> {
    return this.publish(topic, ...texts.map((text) => ({ data: Buffer.from(text), orderingKey })));
  }

  /** What is there, once anything is. */
  async pull(subscription: string, maxMessages = 1_000): Promise<Received[]> {
    const request = { subscription, maxMessages };
    return (await this.client.subscriber(pullMs).pull(request)).receivedMessages;
  }

  /** What is there now. */
  async pullNow(subscription: string, maxMessages = 1_000): Promise<Received[]> {
    const request = { subscription, maxMessages, returnImmediately: true };
    return (await this.subscriber.pull(request)).receivedMessages;
  }

  /** `count` messages, in as many responses as it takes. */
  async pullCount(subscription: string, count: number): Promise<Received[]> {
    const received: Received[] = [];
    while (received.length < count) {
      const pulled = await this.pull(subscription, count - received.length);
      assert.ok(pulled.length > 0, `${received.length} messages came, not ${count}`);
      received.push(...pulled);
    }
    return received;
  }

  async ack(subscription: string, ...received: Received[]): Promise<void> {
    await this.subscriber.acknowledge({ subscription, ackIds: ackIdsOf(received) });
  }

  async nack(subscription: string, ...received: Received[]): Promise<void> {
    await this.modify(subscription, 0, ...received);
  }

  async modify(subscription: string, ackDeadlineSeconds: number, ...received: Received[]): Promise<void> {
    const ackIds = ackIdsOf(received);
    await this.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds });
  }

  stream(subscription: string, more: StreamRequest = {}): PullStream {
    return this.client.stream({ subscription, streamAckDeadlineSeconds: 60, ...more });
  }

  close(): void {
    this.client.close();
  }
}
