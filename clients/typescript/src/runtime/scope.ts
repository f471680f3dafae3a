/** The bounds of one call: the caller's signal and the call's time, as one signal. */

/** Longest delay that timers take, in milliseconds. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

export class CallScope {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);
  readonly #endsAt: number | undefined;
  readonly #timeoutError: () => Error;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `timeoutError` makes the reason of the abort when time is over. */
  constructor(caller: AbortSignal | undefined, timeoutMs: number | undefined, timeoutError: () => Error) {
    this.#caller = caller;
    this.#timeoutError = timeoutError;
    if (caller?.aborted === true) {
      this.#onAbort();
    } else {
      caller?.addEventListener("abort", this.#onAbort, { once: true });
    }
    if (timeoutMs !== undefined) {
      this.#endsAt = performance.now() + timeoutMs;
      this.#arm(timeoutMs);
    }
  }

  /** Aborted when the call must end; its reason is what the call rejects with. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds left, at least 1; undefined without a time-out. */
  get remainingMs(): number | undefined {
    return this.#endsAt === undefined ? undefined : Math.max(1, Math.floor(this.#endsAt - performance.now()));
  }

  /** Bounds what follows where the caller set no time-out. */
  guard(ms: number): void {
    if (this.#endsAt === undefined) {
      this.#arm(ms);
    }
  }

  /** Takes such a bound away until the next one. */
  unguard(): void {
    if (this.#endsAt === undefined) {
      clearTimeout(this.#timer);
    }
  }

  /** Ends what goes on, with that reason, unless it has ended. */
  end(reason: unknown): void {
    this.#controller.abort(reason);
    this.close();
  }

  throwIfOver(): void {
    if (this.signal.aborted) {
      throw this.signal.reason;
    }
  }

  /** Settles as `work` does, or rejects as soon as the call must end; `work` itself goes on. */
  async race<T>(work: Promise<T>): Promise<T> {
    if (this.signal.aborted) {
      // Nobody waits for it any more, and a failure that nobody handles would end a Node process.
      work.catch(() => undefined);
      throw this.signal.reason;
    }
    let stop: (() => void) | undefined;
    const over = new Promise<never>((_, reject) => {
      stop = (): void => reject(this.signal.reason as Error);
      this.signal.addEventListener("abort", stop, { once: true });
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      if (stop !== undefined) {
        this.signal.removeEventListener("abort", stop);
      }
    }
  }

  /** Ends timers and listeners. */
  close(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onAbort);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(this.#timeoutError()), Math.min(ms, TIMER_MS_MAX));
  }
}

/** Waits, ending early with the signal's reason. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
