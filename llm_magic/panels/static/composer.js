// Where questions are written: text, attachments, keys. What is not accepted comes back as it was.

/** After this long, an unanswered request is said to wait. */
const LATE_MS = 400;
/** Pictures that come with a formatted text (from a table, a document) are that text's look, not what was meant. */
const isFormattedText = (data) => data.types.includes("text/plain") && (data.types.includes("text/html") || data.types.includes("text/rtf"));

/** The draft of a panel, over a reload of the page; where the browser keeps nothing, there is none. */
const draftOf = (id) => {
  const key = `llm-magic-draft-${id}`;
  const guarded = (action) => {
    try {
      return action(window.sessionStorage);
    } catch {
      return null; // storage is forbidden here, or full
    }
  };
  return {
    read: () => guarded((storage) => storage.getItem(key)) ?? "",
    write: (text) => guarded((storage) => (text ? storage.setItem(key, text) : storage.removeItem(key))),
  };
};

/** As high as its text, within what the stylesheet allows. */
const fitHeight = (field) => {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
};

/**
 * @param {object} panel What the parts of the panel share, see `panel.js`.
 */
const createComposer = (panel) => {
  const { store, desk, say } = panel;
  const draft = draftOf(store.state.t);
  const attachments = createAttachments((text) => say("error", text));
  const field = make("textarea", {
    className: "lmp-text",
    rows: 1,
    value: draft.read(),
    placeholder: "Ask about your data",
    "aria-label": "Message",
    "aria-keyshortcuts": "Enter",
  });
  const picker = make("input", { type: "file", multiple: true, accept: ACCEPT, hidden: true, tabIndex: -1 });
  const attach = toolButton("clip", "Attach pictures or files", () => picker.click());
  const variable = toolButton("variable", "Add a variable", () => {});
  const send = toolButton("send", "Send", unless(() => (isStopping() ? stop() : submit())), "lmp-send");
  const variables = createVariables(variable, panel, (name) => {
    attachments.addVariable(name);
    field.focus();
    update();
  });
  const node = make(
    "div",
    { className: "lmp-composer" },
    attachments.node,
    field,
    make("div", { className: "lmp-row" }, attach, variable, make("span", { className: "lmp-hint lmp-grow" }, "Shift+Enter: new line"), send),
    picker,
    variables,
  );

  /** Index from the end of the prompt that is recalled, 0 where none is. */
  let recalled = 0;
  const isEmpty = () => !field.value.trim() && attachments.isEmpty();
  const isStopping = () => isEmpty() && panel.running().length > 0;
  const stop = () => panel.stop();

  const update = () => {
    relabel(send, isStopping() ? "Stop the answer" : "Send", isStopping() ? "stop" : "send");
    disable(send, desk.hasEnded() || (isEmpty() && !isStopping()));
    field.disabled = desk.hasEnded();
  };
  const setValue = (text) => {
    field.value = text;
    field.setSelectionRange(text.length, text.length);
    changed();
  };
  const changed = () => {
    fitHeight(field);
    draft.write(field.value);
    update();
  };

  const submit = async () => {
    if (isEmpty() || desk.hasEnded()) return;
    const text = field.value.trim();
    const taken = attachments.take();
    recalled = 0;
    say("info", "");
    setValue("");
    const { buffers, ...fields } = await packed(taken);
    const answer = desk.request("ask", { text, ...fields }, buffers);
    const done = panel.await(text, taken);
    const { ok, line } = await answer;
    done();
    if (ok) return;
    say("error", line ?? "The question was not taken.");
    giveBack(attachments, taken);
    setValue([text, field.value].filter(Boolean).join("\n"));
  };

  const recall = (step) => {
    const prompts = panel.prompts();
    const to = recalled + step;
    if (to < 0 || to > prompts.length) return false;
    recalled = to;
    setValue(to === 0 ? "" : prompts.at(-to));
    return true;
  };

  field.addEventListener("input", () => {
    recalled = 0;
    changed();
  });
  field.addEventListener("keydown", (event) => {
    if (composes(event)) return;
    const isPlain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && (isPlain || event.ctrlKey || event.metaKey)) {
      handled(event);
      submit();
    } else if (isPlain && event.key === "ArrowUp" && (recalled > 0 || !field.value)) {
      if (recall(1)) handled(event);
    } else if (isPlain && event.key === "ArrowDown" && recalled > 0) {
      if (recall(-1)) handled(event);
    }
  });
  field.addEventListener("paste", (event) => {
    const { clipboardData: data } = event;
    if (!data?.files.length || isFormattedText(data)) return;
    handled(event);
    attachments.addFiles(data.files);
    update();
  });
  picker.addEventListener("change", () => {
    attachments.addFiles(picker.files);
    picker.value = "";
    field.focus();
    update();
  });

  return {
    node,
    update,
    focus: () => field.focus(),
    fit: () => fitHeight(field),
    addFiles: (files) => {
      attachments.addFiles(files);
      update();
    },
  };
};

/**
 * Take files that are dropped anywhere on the panel.
 * @param {HTMLElement} root
 * @param {(files: FileList) => void} take
 */
const acceptDrops = (root, take) => {
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (event) => {
    if (!isFiles(event)) return;
    handled(event);
    event.dataTransfer.dropEffect = "copy";
    root.classList.add("lmp-dropping");
  };
  root.addEventListener("dragenter", over);
  root.addEventListener("dragover", over);
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(/** @type {Node | null} */ (event.relatedTarget))) root.classList.remove("lmp-dropping");
  });
  root.addEventListener("drop", (event) => {
    root.classList.remove("lmp-dropping");
    if (!isFiles(event)) return;
    handled(event);
    take(event.dataTransfer.files);
  });
};
