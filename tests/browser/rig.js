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
  /** What has slipped in since the guard was set, if only for a moment. */
  const caught = new Set();
  /** Commands of the front end that were done, and those of them that tests did. */
  const done = [];
  const meant = new Set();

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
    meant.add(name);
    window.jupyterapp.shell.activateById(panel.id);
    return window.jupyterapp.commands.execute(name);
  };

  const start = (name) => {
    // Handled here too: a run that fails before it is awaited is not an unhandled rejection.
    running = command(name);
    running.catch(() => {});
  };

  // What an answer is made of, and nothing else. Each list is written down here once more: a renderer that allows more
  // must not be believed.
  const ANSWERS = ".llm-magic, .lmp-asked";
  const PROMPTS = ".llm-magic-prompt, .llm-magic-pictures";
  const TAGS = new Set(
    ("a blockquote br code details div em h1 h2 h3 h4 h5 h6 hr li ol p pre s small span strong summary sup table tbody td th " +
      "thead tr ul").split(" "),
  );
  const CLASSES = new Set(
    ("c highlight k llm-magic llm-magic-answer llm-magic-footer llm-magic-image llm-magic-lines llm-magic-notice " +
      "llm-magic-attached llm-magic-chip llm-magic-pictures " +
      "llm-magic-prompt llm-magic-reasoning llm-magic-thumbnail llm-magic-view lmp-asked jp-RenderedHTMLCommon m mathjax_ignore " +
      "llm-magic-tool llm-magic-tool-asking llm-magic-tool-denied llm-magic-tool-done llm-magic-tool-failed llm-magic-tool-idle " +
      "llm-magic-tool-running llm-magic-tool-started llm-magic-tool-state " +
      "mathjax_process nc nf numbering-entry s tex2jax_ignore tex2jax_process").split(" "),
  );
  const ATTRIBUTES = {
    a: { href: /^(https?:\/\/|mailto:)/i, rel: /^((nofollow|noopener|noreferrer) ?)+$/, target: /^_(blank|self)$/ },
    details: { open: /^$/ },
    // Pictures of what was asked, made in Python.
    img: { alt: /^/, height: /^\d+$/, src: /^data:image\/(jpeg|png);base64,/, width: /^\d+$/ },
    ol: { start: /^\d+$/ },
    pre: { tabindex: /^0$/ },
    table: { tabindex: /^0$/ },
    td: { align: /^(left|center|right)$/, style: /^text-align: ?left;?$/ },
    th: { align: /^(left|center|right)$/, style: /^text-align: ?left;?$/ },
  };
  // What has no business in any output. MathJax draws formulas with elements of its own, styles among them.
  const FORBIDDEN_TAGS =
    "script style link meta base iframe object embed form input button textarea img svg video audio math".split(" ");
  const FORBIDDEN_ATTRIBUTES = /^on|^(style|id|name|ping|srcdoc|src|background)$|^data-commandlinker/;
  const SCHEMES = ["http:", "https:", "mailto:"];
  const LABELS = /^(Copy code|Copied|Insert as cell)$/;
  /** A formula that is larger than the page is no formula. */
  const MAX_FORMULA_PX = 2000;

  /** The buttons that our own script puts beside code; it alone calls them so, within nothing but code. */
  const isOurs = (element) => {
    const box = element.closest(".llm-magic-code-actions");
    return (
      box !== null &&
      box.nextElementSibling?.localName === "pre" &&
      box.getAttributeNames().join() === "class" &&
      [...box.children].every((button) => {
        const names = button.getAttributeNames().sort().join();
        return button.matches("button[type=button].llm-magic-button") && LABELS.test(button.title) && names === "aria-label,class,title,type";
      }) &&
      (element === box || element.matches(".llm-magic-code-actions > button, button > svg[viewBox], svg > path[d]"))
    );
  };

  const isAllowed = (element) => {
    const known = ATTRIBUTES[element.localName] ?? {};
    const isKnown = ({ name, value }) => {
      if (name === "class") return value.split(/\s+/).every((one) => !one || CLASSES.has(one));
      if (name === "dir") return /^(ltr|rtl)$/.test(value);
      return Object.hasOwn(known, name) && known[name].test(value);
    };
    // JupyterLab gives a target to every link, and another to those that go nowhere.
    const isTaking = element.getAttribute("target") === "_self" && element.hasAttribute("href");
    const isKnownTag = TAGS.has(element.localName) || (element.localName === "img" && element.closest(PROMPTS));
    return isKnownTag && [...element.attributes].every(isKnown) && !isTaking;
  };

  const isIntruder = (element) => {
    const formula = element.closest("mjx-container");
    if (formula) {
      const { width, height } = formula.getBoundingClientRect();
      const isFree = formula.closest(ANSWERS) && !formula.closest(".mathjax_process");
      if (element === formula && (isFree || Math.max(width, height) > MAX_FORMULA_PX)) return true;
      return element.matches("a, [style*=fixed], [href], [class*='jp-'], [id]");
    }
    if (element.closest(ANSWERS)) return !isOurs(element) && !isAllowed(element);
    if (FORBIDDEN_TAGS.includes(element.localName)) return true;
    if (element.getAttributeNames().some((name) => FORBIDDEN_ATTRIBUTES.test(name))) return true;
    if (element.hasAttribute("href") && !SCHEMES.includes(new URL(element.href, document.baseURI).protocol)) return true;
    return getComputedStyle(element).position === "fixed";
  };

  /** What pandas draws of a table: a style for it alone, and a class. */
  const isOfTable = (element) =>
    element.matches("div > style[scoped]") && element.nextElementSibling?.matches("table.dataframe") ||
    (element.closest("table.dataframe") !== null && ["table", "tr"].includes(element.localName));

  const OUTPUTS = ".jp-Cell-outputArea .jp-RenderedHTMLCommon, .llm-magic-panel .llm-magic";
  const isAmongOutputs = (element) => element.parentElement?.closest(OUTPUTS) && !isOfTable(element);

  const guardNode = (node) => {
    if (!(node instanceof Element)) return;
    for (const element of [node, ...node.querySelectorAll("*")]) {
      if (isAmongOutputs(element) && isIntruder(element)) caught.add(element.outerHTML);
    }
  };

  /** Place and looks of a part of the front end that no output may change, and whether anything lies over its middle. */
  const looks = (selector) => {
    const element = document.querySelector(selector);
    if (!element) return selector;
    const { top, left, width, height } = element.getBoundingClientRect();
    const { display, position, color, backgroundColor, visibility } = getComputedStyle(element);
    const isOnTop = element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    // A dock is laid out in halves of a pixel, now one way and now the other.
    const place = [top, left, width, height].map(Math.round);
    return { selector, place, display, position, color, backgroundColor, visibility, isOnTop };
  };
  // Some of them are JupyterLab's, some Notebook's.
  const PARTS = ["body", "#jp-main-content-panel", "#main-panel", "#top-panel-wrapper", "#jp-top-panel", "#menu-panel"];
  const MORE_PARTS = [".jp-NotebookPanel-toolbar", ".jp-Toolbar", ".jp-NotebookPanel-notebook"];

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

    /** Whether the notebook has changes that are not saved. */
    isDirty: () => panel.context.model.dirty,

    shutdown: (seconds) => inTime(panel.sessionContext.shutdown(), seconds, "ending the kernel"),

    /** Whether the kernel is "idle", "busy" or else, as the page has it. */
    status: () => kernel()?.status ?? null,

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

    /** Elements in outputs and in the panel that no answer may have, and those that were there since the guard was set. */
    intruders: () => {
      const found = [...document.querySelectorAll(`:is(${OUTPUTS}) *`)].filter((element) => isAmongOutputs(element) && isIntruder(element));
      return [...new Set([...caught, ...found.map((element) => element.outerHTML)])];
    },

    /** From now on, note what slips into an output if only for a moment, and the commands that are done. */
    guard: () => {
      window.jupyterapp.commands.commandExecuted.connect((_, { id }) => done.push(id));
      const note = (records) => {
        for (const { target, addedNodes, type } of records) {
          if (type === "attributes") guardNode(target);
          for (const node of addedNodes) guardNode(node);
        }
      };
      new MutationObserver(note).observe(document.body, { childList: true, subtree: true, attributes: true });
    },

    /** Commands of the front end that were done and that no test has asked for. */
    commands: () => done.filter((name) => !meant.has(name)),

    /** Where the page is, and what it looks like around the outputs. */
    look: () => [
      new URL(document.baseURI).pathname,
      location.pathname,
      document.title,
      ...[...PARTS, ...MORE_PARTS].map(looks),
    ],
  };
})();
