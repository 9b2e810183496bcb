"use strict";

// The store of one widget: it applies numbered patches in order, notices what is missing, and asks for the whole. Views
// only draw what it holds. What is said on the wire: docs/decisions/0009.

/**
 * @typedef {{context: string, html: string}} Piece a stretch of HTML, and the element it continues ("" for none)
 * @typedef {Object<string, any> & {a: Piece[], r: Piece[]}} Turn fields, answer and reasoning of one turn
 * @typedef {{head: boolean, order: boolean, turns: Map<string, {a: number, r: number}>}} Change what a view draws anew: of
 *   each turn named, the pieces of answer and reasoning from these indices on
 */

/** Turns in these states may still change. */
const OPEN = new Set(["waiting", "running", "tool", "asking"]);
const SILENCE_MS = [2000, 4000, 8000, 15000, 30000];
const NEED_EVERY_MS = 400;
const ACKNOWLEDGED_MS = 200;
const STOPS = 10;
/** A kernel in these states says nothing more of what it was answering. */
const FINAL_STATUS = new Set(["restarting", "autorestarting", "terminating", "dead"]);
const LOST_LINE = "interrupted: the kernel has ended; %chat resume brings back what was kept";

/**
 * @param {any} model the widget's model in the page
 */
function createStore(model) {
  /** @type {{q: number, t: string, head: Object<string, any>, order: string[], turns: Object<string, Turn>}} */
  const state = { q: -1, t: "", head: {}, order: [], turns: {} };
  const views = new Set();
  const hearers = new Set();
  let isMissing = false;
  let isLost = false;
  let askedAt = -Infinity;
  let silent = 0;
  let sent = 0;
  let timer = 0;
  let frame = 0;
  /** @type {Change} */
  let change = newChange();

  function newChange() {
    return { head: false, order: false, turns: new Map() };
  }

  // What changed, drawn once a frame.

  function mark(id, section, from) {
    let lows = change.turns.get(id);
    if (!lows) change.turns.set(id, (lows = { a: Infinity, r: Infinity }));
    if (section) lows[section] = Math.min(lows[section], from);
    schedule();
  }

  function schedule() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      const drawn = change;
      change = newChange();
      for (const view of views) view(drawn);
    });
  }

  const piece = (said) => (typeof said === "string" ? { context: "", html: said } : { context: said[0], html: said[1] });
  const length = (pieces) => pieces.reduce((sum, { html }) => sum + html.length, 0);

  /** Whether the splice fits what is there. */
  function splice(turn, id, section, [index, kept, said, total]) {
    const pieces = turn[section];
    if (index > pieces.length || (kept && index >= pieces.length)) return false;
    const added = said.map(piece);
    if (kept) added[0] = { context: pieces[index].context, html: pieces[index].html.slice(0, kept) + added[0].html };
    pieces.splice(index, Infinity, ...added);
    mark(id, section, index);
    return length(pieces) === total;
  }

  function applyTurn(id, fields) {
    if (fields === null) {
      delete state.turns[id];
      mark(id);
      return true;
    }
    const turn = (state.turns[id] ??= { a: [], r: [] });
    let fits = true;
    for (const [name, value] of Object.entries(fields)) {
      if (name === "a" || name === "r") fits = splice(turn, id, name, value) && fits;
      else if (value === null) delete turn[name];
      else turn[name] = value;
    }
    mark(id);
    return fits;
  }

  function apply(patch) {
    if (patch.q <= state.q) return;
    let fits = patch.q === state.q + 1;
    if (fits) {
      for (const [name, value] of Object.entries(patch.head ?? {})) {
        if (value === null) delete state.head[name];
        else state.head[name] = value;
        change.head = true;
      }
      if (patch.order) {
        state.order = patch.order;
        change.order = true;
      }
      for (const [id, fields] of Object.entries(patch.turns ?? {})) fits = applyTurn(id, fields) && fits;
      schedule();
    }
    if (fits) state.q = patch.q;
    else {
      isMissing = true;
      need();
    }
  }

  /** Take the whole state; what is there already is not drawn again. */
  function adopt(whole) {
    if (whole?.q === undefined || (whole.q <= state.q && !isMissing)) return;
    for (const id of Object.keys(state.turns)) if (!whole.turns[id]) applyTurn(id, null);
    for (const [id, fields] of Object.entries(whole.turns)) {
      const old = state.turns[id];
      const turn = (state.turns[id] = { ...fields, a: (fields.a ?? []).map(piece), r: (fields.r ?? []).map(piece) });
      for (const section of ["a", "r"]) mark(id, section, old ? firstDifference(old[section], turn[section]) : 0);
    }
    Object.assign(state, { q: whole.q, t: whole.t, head: whole.head, order: whole.order });
    change.head = change.order = true;
    isMissing = false;
    schedule();
  }

  function firstDifference(one, other) {
    let at = 0;
    while (at < one.length && one[at].html === other[at]?.html && one[at].context === other[at].context) at += 1;
    return at;
  }

  // What is said to the kernel: over the control channel, which is open while a cell blocks. By comm too, until the kernel
  // has said that it hears us there.

  function say(k, more = {}) {
    if (isLost) return;
    const content = { k, t: state.t, q: state.q, ...more };
    if (!sayByControl(content) || !state.head.control) model.send(content);
  }

  function sayByControl(content) {
    const kernel = model.widget_manager?.kernel;
    if (!kernel?.sendControlMessage) return false;
    const header = {
      msg_id: `${kernel.clientId}_${state.t}_${(sent += 1)}`,
      msg_type: "llm_magic",
      username: kernel.username,
      session: kernel.clientId,
      date: new Date().toISOString(),
      version: "5.3",
    };
    try {
      const message = { header, parent_header: {}, metadata: {}, channel: "control", buffers: [], content };
      // Nobody replies to it; its future would wait for that for ever.
      kernel.sendControlMessage(message, false, true);
    } catch (error) {
      console.warn("llm_magic: no control channel", error);
      return false;
    }
    return true;
  }

  function need() {
    if (performance.now() - askedAt < NEED_EVERY_MS) return;
    askedAt = performance.now();
    say("need");
  }

  const isOpen = () => isMissing || state.order.some((id) => OPEN.has(state.turns[id]?.s));

  /** Silence while something is being answered may mean that the last words were lost. */
  function listenOn() {
    clearTimeout(timer);
    timer = isOpen()
      ? setTimeout(() => {
          silent = Math.min(silent + 1, SILENCE_MS.length - 1);
          need();
          listenOn();
        }, SILENCE_MS[silent])
      : 0;
  }

  function hear(message) {
    if (message.k === "p") apply(message);
    else for (const hearer of hearers) hearer(message);
    if (message.k !== "same") silent = 0;
    listenOn();
  }

  const onState = () => {
    adopt(model.get("snap"));
    silent = 0;
    listenOn();
  };
  // Pages hear nothing more of a kernel that is restarted, not even how it left its answers: they must not seem to go on.
  const onStatus = (_kernel, status) => {
    if (!FINAL_STATUS.has(status) || isLost) return;
    isLost = true;
    isMissing = false;
    for (const [id, { s, notes }] of Object.entries(state.turns)) {
      if (OPEN.has(s)) applyTurn(id, { s: "interrupted", fig: null, wait: null, notes: [...(notes ?? []), LOST_LINE] });
    }
    listenOn();
  };
  const statusChanged = model.widget_manager?.kernel?.statusChanged;
  statusChanged?.connect(onStatus);
  model.on("msg:custom", hear);
  model.on("change:snap", onState);
  adopt(model.get("snap"));
  say("hello", { late: Boolean(model.get("snap").late) });
  listenOn();

  return {
    state,
    say,
    /** Draw what changes from now on; returns what ends that. @param {(change: Change) => void} view */
    view(view) {
      views.add(view);
      return () => views.delete(view);
    },
    /** Hear messages that are no patches; returns what ends that. @param {(message: any) => void} hearer */
    listen(hearer) {
      hearers.add(hearer);
      return () => hearers.delete(hearer);
    },
    /**
     * Stop the answering of a turn. Said again until it is acknowledged: what is said names the turn, and hits no other.
     * An interrupt may hit what runs next: it is for kernels that do not hear us while a cell waits for the answer.
     */
    stop(id) {
      const turn = state.turns[id];
      if (!turn || !OPEN.has(turn.s)) return;
      // As it is named now: another answer may come to stand here.
      const named = turn.w;
      let isHeard = false;
      const end = this.listen((message) => (isHeard ||= message.k === "ack" && message.turn === named && !("call" in message)));
      const ask = (left) => {
        say("stop", { turn: named });
        setTimeout(() => {
          const now = state.turns[id];
          const isOver = isHeard || now?.w !== named || !OPEN.has(now.s);
          const canHear = state.head.control || !now?.blocks;
          if (!isOver && canHear && left) return ask(left - 1);
          end();
          if (!isOver && !canHear) model.widget_manager?.kernel?.interrupt();
        }, ACKNOWLEDGED_MS);
      };
      ask(STOPS);
    },
    /**
     * Say the user's word on a tool call, until it is acknowledged: what is said names turn and call, and hits no other.
     * @param {string} id @param {number} call @param {"yes" | "no" | "always"} answer
     * @param {() => void} onSilence nobody has acknowledged it
     */
    permit(id, call, answer, onSilence) {
      const named = state.turns[id]?.w;
      const isAsked = () => state.turns[id]?.w === named && state.turns[id].asks?.some((one) => one.call === call);
      let isHeard = false;
      const end = this.listen((message) => {
        isHeard ||= message.k === "ack" && message.turn === named && message.call === call;
      });
      const ask = (left) => {
        say("permit", { turn: named, call, answer });
        setTimeout(() => {
          if (!isHeard && isAsked() && left) return ask(left - 1);
          end();
          if (!isHeard && isAsked()) onSilence();
        }, ACKNOWLEDGED_MS);
      };
      ask(STOPS);
    },
    close() {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      statusChanged?.disconnect(onStatus);
      model.off("msg:custom", hear);
      model.off("change:snap", onState);
    },
  };
}
