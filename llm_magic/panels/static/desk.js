// Requests of the page to the kernel, each answered once; and what leaves the panel: files, and cells of the notebook.

const ENDED = "The kernel has ended. Run %chat panel again for a new panel.";

/**
 * What is asked of the kernel by `do`, and by `text`. One a widget: all its views share it.
 * @param {any} model The widget's model in the page.
 * @param {ReturnType<typeof createStore>} store
 */
const createDesk = (model, store) => {
  // Answers reach every page that shows the widget: ids of two pages must not be the same.
  let lastId = Math.floor(Math.random() * 2 ** 40) * 1000;
  let hasEnded = false;
  /** @type {Map<number, {name: string, since: number, end: (answer: {ok: boolean, line?: string, data?: any}) => void}>} */
  const waiting = new Map();
  /** @type {Map<string, ((text: string | null) => void)[]>} */
  const texts = new Map();
  const watchers = new Set();
  const changed = () => watchers.forEach((watcher) => watcher());

  const endAll = () => {
    if (hasEnded) return;
    hasEnded = true;
    for (const request of [...waiting.values()]) request.end({ ok: false, line: ENDED });
    for (const resolvers of texts.values()) resolvers.forEach((resolve) => resolve(null));
    texts.clear();
    changed();
  };
  store.listen((message) => {
    if (message.k === "done") waiting.get(message.id)?.end(message);
    if (message.k === "text") {
      texts.get(message.slot)?.forEach((resolve) => resolve(message.text));
      texts.delete(message.slot);
    }
  });
  const onStatus = (_kernel, status) => FINAL_STATUS.has(status) && endAll();
  const statusChanged = model.widget_manager?.kernel?.statusChanged;
  statusChanged?.connect(onStatus);
  model.on("comm:close", endAll);

  return {
    /** The kernel or its end of the widget is gone. */
    hasEnded: () => hasEnded,

    close: () => {
      statusChanged?.disconnect(onStatus);
      model.off("comm:close", endAll);
    },

    /** Requests that are not answered yet. */
    waiting: () => [...waiting.values()],

    /** Be told when a request is made or answered. @returns {() => void} Ends it. */
    watch: (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },

    /**
     * Ask for something to be done.
     * @param {string} name
     * @param {object} [fields]
     * @param {ArrayBuffer[]} [buffers]
     * @returns {Promise<{ok: boolean, line?: string, data?: any}>}
     */
    request: (name, fields = {}, buffers = []) =>
      new Promise((resolve) => {
        if (hasEnded) return resolve({ ok: false, line: ENDED });
        const id = ++lastId;
        const end = (answer) => {
          waiting.delete(id);
          changed();
          resolve(answer);
        };
        waiting.set(id, { name, since: Date.now(), end });
        model.send({ k: "do", id, do: name, ...fields }, undefined, buffers);
        changed();
      }),

    /** The Markdown of an answer, null where there is none to be had. @returns {Promise<string | null>} */
    source: (slot) =>
      new Promise((resolve) => {
        if (hasEnded) return resolve(null);
        texts.set(slot, [...(texts.get(slot) ?? []), resolve]);
        store.say("text", { slot });
      }),
  };
};

/** Save a text as a file, as a download of the browser. */
const download = (name, text) => {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  make("a", { href: url, download: name }).click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
};

/** The index behind the cell that is active in the notebook of that number of cells, null where none is seen. */
const behindActiveCell = (from, count) => {
  const home = from.closest(".jp-Notebook");
  const shown = home ? [home] : [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook")];
  if (shown.length !== 1) return null;
  const active = shown[0].querySelector(".jp-Cell.jp-mod-active");
  const index = Number(active?.dataset.windowedListIndex ?? [...shown[0].querySelectorAll(".jp-Cell")].indexOf(active));
  return index >= 0 && index < count ? index + 1 : null;
};

/** The index behind the cell that was run last, the end where none was. */
const behindLastRun = (cells) => {
  const counts = cells.map((cell) => cell.execution_count ?? 0);
  const last = Math.max(0, ...counts);
  return last > 0 ? counts.indexOf(last) + 1 : cells.length;
};

/**
 * Put code into the notebook as a new cell, which is not run.
 * @param {object} model
 * @param {Element} from Where in the page it is asked for.
 * @param {string} source
 * @returns {number | null} The cell's place, counted from 1; null where the front end lets nobody in.
 */
const insertCell = (model, from, source) => {
  const notebook = model.widget_manager?.context?.model?.sharedModel;
  if (!notebook?.insertCell || !notebook.cells) return null;
  const index = behindActiveCell(from, notebook.cells.length) ?? behindLastRun(notebook.cells);
  notebook.insertCell(index, { cell_type: "code", source, metadata: { trusted: true } });
  return index + 1;
};
