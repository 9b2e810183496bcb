// The log: all turns in order, and the ones that wait. It follows the end while the reader is there, and only then.

/** So near to the end counts as being there, in pixels. */
const NEAR_PX = 40;

/**
 * A question that is not in the conversation yet.
 * @param {ReturnType<typeof createPanel>} panel
 * @param {string} text
 * @param {{file?: File, variable?: string}[]} taken
 */
const createWaiting = (panel, text, taken) => {
  const names = taken.map(({ file, variable }) => element("span", "lmp-mark", file?.name ?? variable));
  const line = make("p", { className: "lmp-dim lmp-line" }, "Sending …");
  const node = make(
    "article",
    { className: "lmp-turn lmp-waiting", "aria-label": "Waiting question" },
    make("div", { className: "lmp-prompt" }, make("div", { className: "lmp-asked lmp-plain" }, text), ...names),
    line,
  );
  let isLate = false;
  const draw = () => isLate && setText(line, panel.waitingFor());
  const late = setTimeout(() => {
    isLate = true;
    draw();
  }, LATE_MS);
  return {
    node,
    draw,
    remove: () => {
      clearTimeout(late);
      node.remove();
    },
  };
};

/**
 * @param {ReturnType<typeof createPanel>} panel
 */
const createLog = (panel) => {
  const { store } = panel;
  /** @type {Map<string, ReturnType<typeof createRow>>} */
  const rows = new Map();
  const start = make(
    "div",
    { className: "lmp-start" },
    element("p", "lmp-title", "Ask about your data"),
    element("p", "lmp-dim", "This panel and the notebook’s %%chat cells share one conversation."),
    element("p", "lmp-dim", "Paste a screenshot, drop files, or add a variable below."),
  );
  const queued = new Set();
  const earlier = make("button", { type: "button", className: "lmp-text-button lmp-earlier", hidden: true, onclick: () => showEarlier() });
  const turns = element("div", "lmp-turns");
  const queue = element("div", "lmp-turns");
  const content = make("div", { className: "lmp-content" }, start, earlier, turns, queue);
  const scroller = make(
    "div",
    { className: "lmp-log", role: "log", "aria-label": "Conversation", "aria-live": "polite", "aria-relevant": "additions", tabIndex: 0 },
    content,
  );
  const jump = make("button", { type: "button", className: "lmp-jump", hidden: true, onclick: () => follow(true) }, icon("down"), "Jump to latest");
  const node = make("div", { className: "lmp-middle" }, scroller, jump);

  let isFollowing = true;
  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  const follow = (isAsked = false) => {
    if (isAsked) {
      if (jump.contains(document.activeElement)) scroller.focus({ preventScroll: true });
      isFollowing = true;
    }
    if (isFollowing) scroller.scrollTop = scroller.scrollHeight;
    jump.hidden = isFollowing;
  };
  // Only the reader's own hand ends the following; growth of the text moves the end away, too.
  let height = 0;
  scroller.addEventListener("scroll", () => {
    const hasGrown = scroller.scrollHeight !== height;
    height = scroller.scrollHeight;
    if (isAtEnd()) isFollowing = true;
    else if (!hasGrown) isFollowing = false;
    jump.hidden = isFollowing;
  });
  // Formulas and pictures grow after they are drawn; the panel is made wider or lower.
  let width = 0;
  const drawn = new Set();
  const sizes = new ResizeObserver(() => {
    height = scroller.scrollHeight;
    const isOther = scroller.clientWidth !== width;
    width = scroller.clientWidth;
    for (const [slot, row] of rows) if (isOther || drawn.has(slot)) row.measure();
    drawn.clear();
    follow();
  });
  sizes.observe(content);
  sizes.observe(scroller);

  const arrange = (order) => {
    for (const [slot, row] of rows) {
      if (order.includes(slot)) continue;
      row.remove();
      rows.delete(slot);
    }
    let place = turns.firstChild;
    for (const slot of order) {
      if (!rows.has(slot)) rows.set(slot, createRow(panel, slot));
      const { node: row } = rows.get(slot);
      // What is in its place is not moved: moving drops its focus and selection.
      if (row === place) place = place.nextSibling;
      else turns.insertBefore(row, place);
    }
  };

  // What is read stays where it is while more comes in above it.
  const showEarlier = async () => {
    isFollowing = false;
    const first = turns.firstElementChild;
    await panel.do("earlier");
    first?.querySelector("button, a")?.focus({ preventScroll: true });
  };

  const draw = (change) => {
    const order = store.state.order.filter((slot) => store.state.turns[slot]);
    const hadNone = rows.size === 0;
    // While it is written, nothing is read out; what is there at the end is, and a question.
    const writes = panel.running().some((slot) => store.state.turns[slot]?.s !== "asking");
    scroller.setAttribute("aria-busy", String(hadNone || writes));
    if (change.order || order.some((slot) => !rows.has(slot))) arrange(order);
    order.forEach((slot, index) => {
      const isLast = index === order.length - 1;
      if (!change.order && !change.turns.has(slot)) return;
      rows.get(slot).draw(change.turns.get(slot), isLast);
      drawn.add(slot);
    });
    start.hidden = order.length > 0 || queued.size > 0;
    earlier.hidden = !store.state.head.earlier;
    setText(earlier, `Show earlier turns (${store.state.head.earlier ?? 0})`);
    for (const waiting of queued) waiting.draw();
    follow();
  };

  return {
    node,
    draw,
    /** Draw all there is. */
    drawAll: () => draw({ head: true, order: true, turns: new Map() }),
    /** Show a question until the conversation has it; returns what ends that. */
    await: (text, taken) => {
      const waiting = createWaiting(panel, text, taken);
      queued.add(waiting);
      queue.append(waiting.node);
      start.hidden = true;
      follow(true);
      return () => {
        waiting.remove();
        queued.delete(waiting);
        start.hidden = rows.size > 0 || queued.size > 0;
      };
    },
    close: () => {
      sizes.disconnect();
      for (const row of rows.values()) row.remove();
    },
  };
};
