// What tests do inside the page of JupyterLab or Notebook, through its own application object (`window.jupyterapp`)
// and commands, as its menus do. Every promise has an end. Installed before any page script; nothing runs by itself.
"use strict";

window.rig = (() => {
  /** The text of an element without its formulas: they may be typeset by now, or not yet. */
  const text = (element) => {
    const copy = element.cloneNode(true);
    for (const formula of copy.querySelectorAll(".tex2jax_process")) formula.remove();
    return copy.textContent;
  };

  /** The notebook that is open. */
  let panel = null;
  /** The run that has been started and not yet awaited. */
  let running = null;
  /** Texts that a watched output has shown, each once, in order. */
  let shown = [];
  /** What a traced output has shown, in order. */
  let traced = [];

  /** The promise's result, or an error that says what did not happen in time. */
  const inTime = (promise, seconds, what) => {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  };

  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

  /** Resolves at the first frame at which the condition holds. */
  const until = async (condition) => {
    while (!condition()) await frame();
  };

  const kernel = () => panel.sessionContext.session?.kernel ?? null;
  const cell = (index) => panel.content.widgets[index];

  const select = (index) => {
    panel.content.deselectAll();
    panel.content.activeCellIndex = index;
  };

  const openNow = async (path, hasKernel, isBusy) => {
    await until(() => window.jupyterapp);
    const app = window.jupyterapp;
    await app.restored;
    if (path === null) {
      await until(() => app.shell.currentWidget?.context);
      panel = app.shell.currentWidget;
    } else {
      const kernelPreference = hasKernel ? {} : { shouldStart: false, canStart: false, shouldReuse: false };
      panel = await app.commands.execute("docmanager:open", { path, factory: "Notebook", kernelPreference });
    }
    await panel.context.ready;
    await panel.revealed;
    await panel.sessionContext.ready;
    if (isBusy) await until(() => kernel()?.connectionStatus === "connected");
    else if (hasKernel) await until(() => kernel()?.status === "idle");
  };

  const command = (name) => {
    window.jupyterapp.shell.activateById(panel.id);
    return window.jupyterapp.commands.execute(name);
  };

  const start = (name) => {
    // Handled here too: a run that fails before it is awaited is not an unhandled rejection.
    running = command(name);
    running.catch(() => {});
  };

  // What has no business in an answer. MathJax draws formulas with elements of its own, styles among them.
  const FORBIDDEN_TAGS =
    "script style link meta base iframe object embed form input button textarea img svg video audio math".split(" ");
  const FORBIDDEN_ATTRIBUTES = /^on|^(style|id|name|ping|srcdoc|src|background)$/;
  const SCHEMES = ["http:", "https:", "mailto:"];

  const isIntruder = (element) => {
    if (element.closest("mjx-container")) return element.matches("a, [style*=fixed], [href]");
    if (FORBIDDEN_TAGS.includes(element.localName)) return true;
    if (element.getAttributeNames().some((name) => FORBIDDEN_ATTRIBUTES.test(name))) return true;
    if (element.hasAttribute("href") && !SCHEMES.includes(new URL(element.href, document.baseURI).protocol)) return true;
    return getComputedStyle(element).position === "fixed";
  };

  /** Place and looks of a part of JupyterLab that no output may change. */
  const looks = (selector) => {
    const element = document.querySelector(selector);
    const { top, left, width, height } = element.getBoundingClientRect();
    const { display, position, color, backgroundColor, visibility } = getComputedStyle(element);
    return { selector, top, left, width, height, display, position, color, backgroundColor, visibility };
  };

  return {
    /** Open a notebook; where there is no path, it is the one that the page shows by itself. */
    open: (path, hasKernel, seconds) => inTime(openNow(path, hasKernel), seconds, `opening ${path ?? "the page"}`),

    /** Open a notebook whose kernel is running a cell. */
    openBusy: (path, seconds) => inTime(openNow(path, true, true), seconds, `opening ${path ?? "the page"}`),

    /** Start running one cell, or all where there is no index. */
    start: (index) => {
      if (index === null) return start("notebook:run-all-cells");
      select(index);
      return start("notebook:run-cell");
    },

    /** Do a command of the front end, to a cell where there is an index. */
    command: async (name, index, seconds) => {
      if (index !== null) select(index);
      await inTime(command(name), seconds, name);
    },

    /** Ids of all cells, in order. */
    ids: () => panel.content.widgets.map((widget) => widget.model.id),

    /** Restart the kernel without being asked whether that is meant. */
    restart: async (seconds) => {
      await inTime(kernel().restart(), seconds, "restarting");
      await inTime(until(() => kernel()?.status === "idle"), seconds, "being idle again");
    },

    rename: (name, seconds) => inTime(panel.context.rename(name), seconds, "renaming"),

    /** Wait until what was started has ended and its outputs are drawn. */
    finish: async (seconds) => {
      await inTime(running, seconds, "running");
      // Outputs are drawn in promises of their own, a frame later.
      await frame();
      await frame();
    },

    interrupt: (seconds) => inTime(command("notebook:interrupt-kernel"), seconds, "interrupting"),

    save: async (seconds) => {
      await inTime(command("docmanager:save"), seconds, "saving");
      await inTime(until(() => !panel.context.model.dirty), seconds, "being saved");
    },

    shutdown: (seconds) => inTime(panel.sessionContext.shutdown(), seconds, "ending the kernel"),

    /** Model of the kernel, null where there is none. */
    kernel: () => kernel()?.model ?? null,

    setSource: (index, source) => cell(index).model.sharedModel.setSource(source),

    insertCell: (index, source) =>
      panel.content.model.sharedModel.insertCell(index, { cell_type: "code", source, metadata: { trusted: true } }),

    /** Outputs of a cell as the notebook holds them (nbformat). */
    model: (index) => cell(index).outputArea.model.toJSON(),

    isTrusted: (index) => cell(index).model.trusted,

    /** Note every text the output of a cell shows from now on. */
    watch: (index) => {
      const node = cell(index).outputArea.node;
      shown = [];
      const note = () => {
        if (shown.at(-1) !== node.innerText) shown.push(node.innerText);
      };
      new MutationObserver(note).observe(node, { childList: true, subtree: true, characterData: true });
    },

    watched: () => shown,

    /** Note at every change from now on how much text the output of a cell has, and the texts of an answer's blocks. */
    trace: (index) => {
      const node = cell(index).outputArea.node;
      traced = [];
      const note = () => {
        const answer = node.querySelector(".llm-magic-answer") ?? node.querySelector(".llm-magic");
        traced.push({ size: node.innerText.trim().length, blocks: [...(answer?.children ?? [])].map(text) });
      };
      new MutationObserver(note).observe(node, { childList: true, subtree: true, characterData: true });
    },

    traced: () => traced,

    /** Resolves when an element of an output has exactly the text of some HTML, formulas aside. */
    hasTextOf: (index, selector, html, seconds) => {
      const wanted = document.createElement("div");
      wanted.innerHTML = html;
      const isSo = () => [...cell(index).outputArea.node.querySelectorAll(selector)].some((one) => text(one) === text(wanted));
      return inTime(until(isSo), seconds, `showing ${text(wanted).slice(-80)}`);
    },

    /** Resolves when what has been shown had its turn to run and to load: after an image failed, and two frames. */
    settle: async (seconds) => {
      const failure = new Promise((resolve) => {
        const image = new Image();
        image.onerror = resolve;
        image.src = "data:image/png,none";
      });
      await inTime(failure, seconds, "settling");
      await frame();
      await frame();
    },

    /** Elements in outputs that no answer may have. */
    intruders: () =>
      [...document.querySelectorAll(".jp-Cell-outputArea .jp-RenderedHTMLCommon *")]
        .filter(isIntruder)
        .map((element) => element.outerHTML),

    /** Where the page is, and what it looks like around the outputs. */
    look: () => [
      new URL(document.baseURI).pathname,
      location.pathname,
      document.title,
      ...["body", "#jp-main-content-panel", ".jp-NotebookPanel-toolbar"].map(looks),
    ],
  };
})();
