// The chat panel: a whole conversation beside the notebook, the one its cells use. Draws what the store holds; what the
// user does goes to the kernel as a request, and comes back as a patch.

/**
 * What the parts of one view share.
 * @param {any} model The widget's model in the page.
 * @param {ReturnType<typeof createStore>} store
 * @param {ReturnType<typeof createDesk>} desk
 */
const createPanel = (model, store, desk) => {
  const line = make("p", { className: "lmp-told", role: "status" });
  const dismiss = toolButton("cross", "Dismiss", () => say("info", ""));
  const told = make("div", { className: "lmp-row lmp-say", hidden: true }, line, dismiss);
  const say = (kind, text) => {
    told.hidden = !text;
    told.dataset.kind = kind;
    setText(line, text);
  };
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

/** Build a view of the panel. */
const createView = (model, store, desk) => {
  const panel = createPanel(model, store, desk);
  const header = createHeader(panel);
  const log = createLog(panel);
  Object.assign(panel, { await: log.await, fork: header.fork });
  const composer = createComposer(panel);
  panel.focus = composer.focus;
  const wait = make("p", { className: "lmp-dim lmp-line lmp-wait", hidden: true });
  const node = make(
    "section",
    {
      className: "llm-magic-panel",
      "aria-label": "Chat",
      // The notebook's own keys (dd, Enter, Escape …) are not its keys while the focus is here.
      "data-lm-suppress-shortcuts": "true",
    },
    header.node,
    log.node,
    make("div", { className: "lmp-foot" }, wait, panel.told, composer.node),
  );
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && panel.stop()) handled(event);
    // Nothing typed here is for the notebook around.
    event.stopPropagation();
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
    wait.hidden = true;
    if (desk.hasEnded()) panel.say("error", ENDED);
    else if (others.length) {
      late = setTimeout(() => {
        wait.hidden = false;
        setText(wait, panel.waitingFor());
      }, LATE_MS);
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
  const ends = [store.view(draw), desk.watch(drawWaiting), log.close, () => clearTimeout(late)];
  drawWaiting();
  return { node, shown: composer.fit, close: () => ends.forEach((end) => end()) };
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
      view.shown();
      endWide();
      store.say("view");
      return view.close;
    },
  };
};
