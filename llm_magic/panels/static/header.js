// The head of the panel: which conversation, which model, how full its window is, what it cost; undo, export, the rest.

const EXPORTS = { md: "Markdown", json: "JSON, all of it", jsonl: "JSONL, for training", csv: "CSV table" };

const compact = (tokens) =>
  tokens < 1000 ? String(tokens) : new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(tokens);

/** How much of the model's window the conversation takes. */
const createMeter = () => {
  const fill = element("span", "lmp-fill");
  const bar = make("span", { className: "lmp-bar", role: "meter", "aria-label": "Context window", "aria-valuemin": 0 }, fill);
  const text = element("span", "lmp-dim");
  const node = make("span", { className: "lmp-meter" }, bar, text);
  return {
    node,
    /** @param {{used: number, limit: number | null, is_estimate: boolean} | undefined} window */
    draw: (window) => {
      node.hidden = !window;
      if (!window) return;
      const { used, limit, is_estimate: isEstimate } = window;
      const about = isEstimate ? "~" : "";
      bar.hidden = !limit;
      const said = limit ? `${about}${compact(used)} of ${compact(limit)}` : `${about}${compact(used)} tokens`;
      setText(text, said);
      node.title = `${isEstimate ? "about " : ""}${used.toLocaleString("en-US")}${limit ? ` of ${limit.toLocaleString("en-US")}` : ""} tokens of the context window`;
      if (!limit) return;
      const part = Math.min(1, used / limit);
      fill.style.width = `${Math.max(1, part * 100)}%`;
      bar.dataset.level = part > 0.9 ? "full" : part > 0.7 ? "high" : "low";
      bar.setAttribute("aria-valuemax", String(limit));
      bar.setAttribute("aria-valuenow", String(Math.min(used, limit)));
      bar.setAttribute("aria-valuetext", `${said} tokens`);
    },
  };
};

/** The field that names the model, with the known ones to choose from. */
const createModelField = (panel) => {
  const { store } = panel;
  const input = make("input", { className: "lmp-field lmp-model", "aria-label": "Model", placeholder: "Model" });
  const list = make("ul", { className: "lmp-options", "aria-label": "Models" });
  const box = make("div", { className: "lmp-popup lmp-models", hidden: true }, list);
  const draw = () => {
    if (document.activeElement !== input) input.value = store.state.head.model ?? "";
    input.title = store.state.head.model ?? "";
  };
  const use = async (name) => {
    input.value = name;
    input.select();
    const { ok } = await panel.do("model", { name });
    if (!ok) input.value = store.state.head.model ?? "";
  };
  const choices = combobox(input, list, {
    items: () => store.state.head.models ?? [],
    key: (name) => name,
    draw: (name) => [element("span", "lmp-grow", name), ...(name === store.state.head.model ? [icon("check")] : [])],
    pick: use,
    free: use,
    toggle: (isOpen) => (box.hidden = !isOpen),
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", choices.refresh);
  input.addEventListener("blur", () => {
    choices.close();
    draw();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || composes(event)) return;
    const isDone = box.hidden && input.value === (store.state.head.model ?? "");
    handled(event);
    choices.close();
    input.value = store.state.head.model ?? "";
    input.select();
    if (isDone) panel.focus();
  });
  return { input, box, draw };
};

/** What can be done with the whole conversation, and where. */
const createDeeds = (panel, forms) => {
  const { store } = panel;
  const start = async () => {
    const name = await askFor(forms, { label: "Name of the new conversation (optional)", done: "Start", isOptional: true });
    if (name !== null) panel.do("new", name ? { name } : {});
  };
  const fork = async (at) => {
    const { name } = store.state.head;
    const taken = new Set((store.state.head.names ?? []).map((one) => one.name));
    let number = 2;
    while (taken.has(`${name}-${number}`)) number += 1;
    const label = at === undefined ? "Name of the copy" : `Name of the copy, up to turn ${at}`;
    const copy = await askFor(forms, { label, value: `${name}-${number}`, done: "Fork" });
    if (copy !== null) panel.do("fork", at === undefined ? { name: copy } : { name: copy, at });
  };
  const system = async () => {
    const value = store.state.head.system ?? "";
    const text = await askFor(forms, { label: "System prompt", value, done: "Set", isLong: true, isOptional: true });
    if (text !== null) panel.do("system", { text });
  };
  const save = async (form) => {
    const { ok, data } = await panel.do("export", { form });
    if (!ok) return;
    download(data.name, data.text);
    panel.say("info", `Exported as ${data.name}.`);
  };
  return { start, fork, system, save };
};

/**
 * @param {ReturnType<typeof createPanel>} panel
 */
const createHeader = (panel) => {
  const { store } = panel;
  const forms = element("div", "lmp-forms");
  const deeds = createDeeds(panel, forms);
  const name = element("span", "lmp-name");
  const conversation = make("button", { type: "button", className: "lmp-text-button lmp-conversation" }, name, icon("down"));
  const undo = toolButton("undo", "Undo", unless(() => panel.do("undo")));
  const redo = toolButton("redo", "Redo", unless(() => panel.do("redo")));
  const more = toolButton("more", "More", () => {});
  const model = createModelField(panel);
  const meter = createMeter();
  const totals = element("span", "lmp-dim lmp-totals");
  const system = make("button", { type: "button", className: "lmp-system", hidden: true, onclick: deeds.system });

  const conversations = menu(conversation, "Conversations", () => [
    ...(store.state.head.names ?? []).map((one) => ({
      label: one.name,
      hint: `${one.turns} ${one.turns === 1 ? "turn" : "turns"}`,
      checked: one.name === store.state.head.name,
      action: () => one.name !== store.state.head.name && panel.do("use", { name: one.name }),
    })),
    { label: "New conversation …", apart: true, action: deeds.start },
    { label: "Fork this conversation …", action: () => deeds.fork() },
  ]);
  const others = menu(more, "More", () => [
    { label: "System prompt …", action: deeds.system },
    ...Object.entries(EXPORTS).map(([form, label], index) => ({
      label: `Export as ${label}`,
      apart: index === 0,
      action: () => deeds.save(form),
    })),
  ]);
  const node = make(
    "header",
    { className: "lmp-head" },
    make("div", { className: "lmp-row" }, conversation, model.input, undo, redo, more),
    make("div", { className: "lmp-figures" }, meter.node, totals),
    system,
    forms,
    conversations,
    model.box,
    others,
  );

  const draw = () => {
    const { head } = store.state;
    setText(name, head.name ?? "");
    conversation.title = head.name ?? "";
    conversation.setAttribute("aria-label", `Conversation ${head.name ?? ""}`);
    relabel(undo, head.undo ? `Undo ${head.undo}` : "Nothing to undo");
    relabel(redo, head.redo ? `Redo ${head.redo}` : "Nothing to redo");
    disable(undo, !head.undo);
    disable(redo, !head.redo);
    model.draw();
    meter.draw(head.window);
    setText(totals, head.totals ?? "");
    totals.title = head.totals ?? "";
    system.hidden = !head.system;
    setText(system, `System: ${head.system ?? ""}`);
  };
  return { node, draw, fork: deeds.fork };
};
