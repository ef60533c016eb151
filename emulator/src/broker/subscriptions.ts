/** Subscriptions: what may be asked of them, and which change each of it is. */
import { Collection, tooMany } from './collection.ts';
import { Refusal } from './errors.ts';
import { limits } from './limits.ts';
import { checkName, notFound } from './names.ts';
import type { Page, PageRequest } from './page.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Subscription } from './subscription.ts';
import type { ResourceDeps } from './topics.ts';
import { maskSubscription } from './update-mask.ts';
import { completeSubscription, pushVersion, type SubscriptionInput } from './validation.ts';

export class Subscriptions {
  #deps: ResourceDeps;
  #collection: Collection<Subscription>;

  constructor(deps: ResourceDeps) {
    this.#deps = deps;
    this.#collection = new Collection({
      name: 'subscriptions',
      entries: deps.registry.subscriptions,
      project: deps.project,
      perProjectMax: limits.subscriptionsPerProject,
      exists: 'Subscription already exists',
    });
  }

  async create(input: SubscriptionInput): Promise<SubscriptionSettings> {
    this.#collection.checkNew(input.name);
    checkName('topics', input.topic);
    const { registry, commit } = this.#deps;
    const topic = registry.topics.get(input.topic);
    if (!topic) throw notFound(input.topic);
    if (topic.subscriptions.size >= limits.subscriptionsPerTopic) {
      throw tooMany('subscriptions of a topic', limits.subscriptionsPerTopic);
    }
    const settings = this.#complete({ ...input, isDetached: false });
    const number = registry.lastNumber + 1;
    // Not what is in flight: its numbers may be given again, when a full disk refuses it and the process is killed.
    await commit({ type: 'subscription', number, topic: topic.number, settings, start: topic.visible });
    return settings;
  }

  #complete(input: SubscriptionInput): SubscriptionSettings {
    const settings = completeSubscription(input);
    const { deadLetterPolicy } = settings;
    if (deadLetterPolicy && !this.#deps.registry.topics.has(deadLetterPolicy.topic)) {
      throw notFound(deadLetterPolicy.topic);
    }
    return settings;
  }

  /** @throws Refusal */
  get(name: string): Subscription {
    return this.#collection.get(name);
  }

  /** @throws Refusal when there is none of that name, or nothing can be pulled from it. */
  pullable(name: string): Subscription {
    const subscription = this.get(name);
    if (subscription.settings.isDetached) throw detached(name);
    if (subscription.settings.push) throw isPush(name);
    return subscription;
  }

  async update(input: SubscriptionInput, paths: readonly string[]): Promise<SubscriptionSettings> {
    const subscription = this.get(input.name);
    const masked = maskSubscription(subscription.settings, input, paths);
    const settings = paths.some((path) => path.startsWith('dead_letter_policy'))
      ? this.#complete(masked)
      : completeSubscription(masked);
    try {
      await this.#commitSettings(subscription, settings);
    } finally {
      // On a full disk it is refused, and applied all the same.
      if (settings.push) subscription.fail(isPush(settings.name));
      subscription.wake();
    }
    return settings;
  }

  /**
   * `push` undefined: its messages are pulled from now on. A version that is not given stays as it is: pubsub.proto,
   * PushConfig.attributes.
   */
  async modifyPush(name: string, config: Pick<SubscriptionInput, 'push' | 'pushAttributes'>): Promise<void> {
    const { expirationMs = null, ...settings } = this.get(name).settings;
    const { [pushVersion]: version } = settings.push?.attributes ?? settings.pushAttributes ?? {};
    const { push = undefined, pushAttributes } = config;
    if (push && version) push.attributes = { [pushVersion]: version, ...push.attributes };
    await this.update({ ...settings, expirationMs, push, pushAttributes }, ['push_config']);
  }

  async delete(name: string): Promise<void> {
    const subscription = this.get(name);
    try {
      await this.#deps.commit({ type: 'subscription-deleted', number: subscription.number });
    } finally {
      subscription.fail(notFound(name));
    }
  }

  async detach(name: string): Promise<void> {
    const subscription = this.get(name);
    try {
      await this.#commitSettings(subscription, { ...subscription.settings, isDetached: true });
    } finally {
      subscription.fail(detached(name));
    }
  }

  list(project: string, page: PageRequest): Page<SubscriptionSettings> {
    return this.#collection.list(project, page, ({ settings }) => settings);
  }

  async #commitSettings(
    { number, topic, start }: Subscription,
    settings: SubscriptionSettings,
  ): Promise<void> {
    await this.#deps.commit({ type: 'subscription', number, topic: topic.number, settings, start });
  }
}

export function detached(name: string): Refusal {
  return new Refusal('FAILED_PRECONDITION', `Subscription is detached from its topic (resource=${name})`);
}

/** Of Pull and StreamingPull. */
function isPush(name: string): Refusal {
  return new Refusal('FAILED_PRECONDITION', `Subscription is a push subscription: (resource=${name})`);
}
