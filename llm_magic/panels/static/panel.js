// The chat panel: a whole conversation beside the notebook, the one its cells use. Draws what the store holds; what the
// user does goes to the kernel as a request, and comes back as a patch.

/** While the focus is in an element with this, the front end's own keys (dd, Enter, Escape …) are not its keys. */
const SUPPRESS = "data-lm-suppress-shortcuts";

/**
 * What the parts of one view share.
 * @param {any} model The widget's model in the page.
 * @param {ReturnType<typeof createStore>} store
 * @param {ReturnType<typeof createDesk>} desk
 */
const createPanel = (model, store, desk) => {
  const line = make("p", { className: "lmp-told", role: "status" });
  const dismiss = toolButton("cross", "Dismiss", () => say("info", ""));
  // Always there, if empty: what is said in an element that has just been shown is not read out everywhere.
  const told = make("div", { className: "lmp-row lmp-say" }, line, dismiss);
  const say = (kind, text) => {
    dismiss.hidden = !text;
    told.dataset.kind = text ? kind : "none";
    setText(line, text);
  };
  say("info", "");
  const running = () => store.state.order.filter((slot) => OPEN.has(store.state.turns[slot]?.s));

  const panel = {
    model,
    store,
    desk,
    told,
    say,
    /** Slots that are being answered. */
    running,
    /** Do something; what goes wrong is said. */
    do: async (name, fields = {}) => {
      say("info", "");
      const answer = await desk.request(name, fields);
      if (answer.line) say(answer.ok ? "info" : "error", answer.line);
      else if (!answer.ok) say("error", "That did not work.");
      return answer;
    },
    /** Stop what is being answered, the latest first. */
    stop: () => {
      const slot = running().at(-1);
      if (slot !== undefined) store.stop(slot);
      return slot !== undefined;
    },
    /** What a request that takes its time waits for. */
    waitingFor: () => (store.state.head.busy ? "Waiting for the running cell …" : "Waiting for the kernel …"),
    /** Texts asked before, the oldest first. */
    prompts: () => {
      const texts = store.state.order.map((slot) => store.state.turns[slot]?.e).filter((text) => typeof text === "string" && text);
      return texts.filter((text, index) => text !== texts[index - 1]);
    },
  };
  return panel;
};

/** The name of the application around, "" where it does not tell. */
const applicationName = () => JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}").appName ?? "";

/**
 * A sidebar takes its width when a widget comes into it, which is before the widget is drawn: what it is to be is said
 * for the time until then, and by the stylesheet after.
 */
const widenDock = () => {
  const style = make("style", {}, ".jupyterlab-sidecar { min-width: 360px !important }");
  document.head.append(style);
  return () => style.remove();
};

/** Saving is for the notebook, from here too: left to the browser, it would save the page. Returns what ends that. */
const passSaveOn = (node) => {
  const decide = (event) => {
    if (!node.contains(event.target)) return;
    const isSave = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s";
    if (isSave) node.removeAttribute(SUPPRESS);
    else node.setAttribute(SUPPRESS, "true");
  };
  // Before the front end looks at the key.
  window.addEventListener("keydown", decide, true);
  return () => window.removeEventListener("keydown", decide, true);
};

/** Build a view of the panel. */
const createView = (model, store, desk) => {
  const panel = createPanel(model, store, desk);
  const header = createHeader(panel);
  const log = createLog(panel);
  Object.assign(panel, { await: log.await, fork: header.fork });
  const composer = createComposer(panel);
  panel.focus = composer.focus;
  const wait = make("p", { className: "lmp-dim lmp-wait", role: "status" });
  const node = make(
    "section",
    {
      className: "llm-magic-panel",
      "aria-label": "Chat",
      [SUPPRESS]: "true",
    },
    header.node,
    log.node,
    make("div", { className: "lmp-foot" }, wait, panel.told, composer.node),
  );
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !composes(event) && panel.stop()) handled(event);
    // Nothing else typed here is for the notebook around.
    if (node.hasAttribute(SUPPRESS)) event.stopPropagation();
  });
  acceptDrops(node, composer.addFiles);

  let lastSaid = store.state.head.say?.id;
  const hear = ({ say } = {}) => {
    if (!say || say.id === lastSaid) return;
    lastSaid = say.id;
    panel.say(say.kind, say.text);
  };
  let late = 0;
  const drawWaiting = () => {
    clearTimeout(late);
    const others = desk.waiting().filter(({ name }) => name !== "ask" && name !== "names");
    setText(wait, "");
    if (desk.hasEnded()) panel.say("error", ENDED);
    else if (others.length) {
      late = setTimeout(() => setText(wait, panel.waitingFor()), LATE_MS);
    }
    composer.update();
  };
  const draw = (change) => {
    if (change.head) header.draw();
    log.draw(change);
    hear(store.state.head);
    composer.update();
  };
  header.draw();
  log.drawAll();
  const sizes = new ResizeObserver(composer.fit);
  sizes.observe(node);
  const ends = [
    store.view(draw),
    desk.watch(drawWaiting),
    passSaveOn(node),
    log.close,
    () => sizes.disconnect(),
    () => clearTimeout(late),
  ];
  drawWaiting();
  return { node, close: () => ends.forEach((end) => end()) };
};

export default () => {
  let store;
  let desk;
  let endWide = () => {};
  return {
    // The store listens from here on: what came before a view was drawn is in it.
    initialize({ model }) {
      store = createStore(model);
      desk = createDesk(model, store);
      // The kernel does not know in which application it is shown, and so not where the panel belongs.
      endWide = widenDock();
      store.say("page", { app: applicationName() });
      return () => {
        endWide();
        desk.close();
        store.close();
      };
    },
    render({ model, el }) {
      const view = createView(model, store, desk);
      el.classList.add("llm-magic-panel-host");
      el.append(view.node);
      endWide();
      store.say("view");
      return view.close;
    },
  };
};
