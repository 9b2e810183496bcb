// One turn on the page: its reasoning, its answer, how it is going, and its footer. All HTML is the renderer's, made safe in
// Python; everything else is text.

/** @typedef {{label: string, icon: string, run: (code: string, button: HTMLElement) => void}} CodeAction a button on code */

const ICONS = {
  copy: "M5 1h8a1 1 0 0 1 1 1v9h-1.5V2.5H5zM3 4h7a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm.5 1.5v8h6v-8z",
  done: "M6.2 12.4 2 8.2l1.1-1.1 3.1 3.1 6.7-6.7L14 4.6z",
  stop: "M4 4h8v8H4z",
};

/** @param {string} tag @param {string} name @param {string} [text] */
function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A button that shows a picture and is called by its label. @param {string} label @param {string} icon path of 16 × 16 */
function iconButton(label, icon, name = "") {
  const button = /** @type {HTMLButtonElement} */ (element("button", `llm-magic-button ${name}`));
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(svg.namespaceURI, "path"));
  svg.firstElementChild.setAttribute("d", icon);
  button.append(svg);
  return button;
}

/** A tool call, as the renderer writes it. */
const TOOL = ".llm-magic-tool";

/** Put text on the clipboard; the button says that it is there. @param {string} text @param {HTMLElement} button */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without permission, or not on a secure page: the old way asks for neither.
    const area = /** @type {HTMLTextAreaElement} */ (element("textarea", ""));
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const path = button.querySelector("path");
  const label = button.getAttribute("aria-label");
  const shape = path.getAttribute("d");
  if (label === "Copied") return;
  path.setAttribute("d", ICONS.done);
  button.setAttribute("aria-label", "Copied");
  setTimeout(() => {
    path.setAttribute("d", shape);
    button.setAttribute("aria-label", label);
  }, 1500);
}

/** @type {CodeAction} */
const COPY_CODE = { label: "Copy code", icon: ICONS.copy, run: copyText };

/**
 * Pieces of HTML as nodes right under an element: margins of the front end's stylesheet hold between them.
 *
 * @param {HTMLElement} root
 * @param {(node: Element, isWhole: boolean) => void} onDrawn told of each element of a piece that was drawn
 */
function createPieces(root, onDrawn) {
  /** @type {{html: string, context: string, nodes: ChildNode[], isWhole: boolean}[]} */
  const drawn = [];
  const WRAPS = { tbody: ["<table><tbody>", "tbody"], ul: ["<ul>", "ul"], ol: ["<ol>", "ol"], code: ["<pre><code>", "code"] };
  const CLOSERS = /(?:<\/[a-z0-9]+>\n?)*$/;
  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };

  /** The element that a piece goes on in: the innermost of its kind that the pieces before it left open. */
  function container(context, index) {
    let at = index - 1;
    while (at >= 0 && drawn[at].context) at -= 1;
    const opener = drawn[at]?.nodes.filter((node) => node.nodeType === Node.ELEMENT_NODE).at(-1);
    if (!opener || opener.localName === context) return opener ?? root;
    return [...opener.querySelectorAll(context)].at(-1) ?? root;
  }

  function insert({ context, html }, index) {
    if (!context) {
      const nodes = [...parsed(html).childNodes];
      root.append(...nodes);
      return nodes;
    }
    const [opening, tag] = WRAPS[context];
    // Parsed where it belongs: a row on its own is no element. Closing tags of what it goes on in mean nothing there.
    let nodes = [...parsed(opening + html).querySelector(tag).childNodes];
    if (context === "code") {
      // A block of its own: adding lines at the end lays out these lines only.
      const lines = element("span", "llm-magic-lines");
      lines.append(...nodes);
      nodes = [lines];
    }
    container(context, index).append(...nodes);
    return nodes;
  }

  /** Whether only text was added at the end: it is put there, and what is selected before it stays so. */
  function extend(old, { context, html }) {
    if (old.context !== context) return false;
    const [closers] = CLOSERS.exec(old.html);
    const head = old.html.length - closers.length;
    const added = html.slice(head, html.length - closers.length);
    if (html.length < old.html.length || !html.startsWith(old.html.slice(0, head)) || !html.endsWith(closers)) return false;
    if (added.includes("<")) return false;
    if (context && context !== "code") return false;
    let place = old.nodes.filter((node) => node.nodeType === Node.ELEMENT_NODE).at(-1);
    // Of lines of code the closing tags are those of the block they stand in.
    const depth = context ? 1 : closers.split("</").length - 1;
    for (let level = 1; level < depth && place; level += 1) place = place.lastElementChild;
    if (!place || depth === 0 || (place.lastChild && place.lastChild.nodeType !== Node.TEXT_NODE)) return false;
    if (added) place.append(parsed(added).textContent);
    place.normalize();
    old.html = html;
    return true;
  }

  /** Say that a piece was drawn, or has become whole since. */
  function tell(piece, isWhole) {
    if (piece.isWhole) return;
    piece.isWhole = isWhole;
    for (const node of piece.nodes) if (node.nodeType === Node.ELEMENT_NODE) onDrawn(node, isWhole);
  }

  return (pieces, from) => {
    const unfolded = drawn.slice(from).map(({ nodes }) => nodes.some((node) => node.open && node.matches(TOOL)));
    const first = from;
    let index = Math.min(from, drawn.length);
    if (index === drawn.length - 1 && index < pieces.length && extend(drawn[index], pieces[index])) index += 1;
    for (const { nodes } of drawn.splice(index)) for (const node of nodes) node.remove();
    if (index > 0 && index < pieces.length) tell(drawn[index - 1], true);
    for (; index < pieces.length; index += 1) {
      drawn.push({ ...pieces[index], nodes: insert(pieces[index], index), isWhole: false });
      // What the reader has unfolded stays so while the call goes on.
      if (unfolded[index - first]) for (const node of drawn[index].nodes) if ("open" in node && node.matches(TOOL)) node.open = true;
      tell(drawn[index], index < pieces.length - 1);
    }
  };
}

const WORDS = {
  waiting: "Waiting",
  running: "Answering",
  tool: "Running a tool",
  asking: "Waiting for your word",
  complete: "Done",
  interrupted: "Interrupted",
  truncated: "Cut off",
  failed: "Failed",
};

const number = (value) => value.toLocaleString("en-US");

/** What the bar says of a running turn. @param {Object<string, any>} fig figures @param {number} seconds since it began */
function figuresText(fig, seconds) {
  const about = fig.est ? "~" : "";
  const count = (value, more) => `${about}${number(value)}${more ? ` (${more})` : ""}`;
  const said = [fig.model];
  const cached = fig.cached ? `${number(fig.cached)} cached` : "";
  const reasoning = fig.reasoning ? `${about}${number(fig.reasoning)} reasoning` : "";
  const counts = [fig.in ? count(fig.in, cached) : "", fig.out ? count(fig.out, reasoning) : ""];
  if (counts.some(Boolean)) said.push(`${counts.filter(Boolean).join(" → ")} tokens`);
  const answering = seconds - fig.first;
  if (fig.out && answering > 0.5) said.push(`${Math.round(fig.out / answering)} tokens/s`);
  said.push(seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`);
  said.push(fig.cost);
  return said.filter(Boolean).join(" · ");
}

/** @typedef {{call: number, name: string, args: string, where: string}} Question may this call run? */

/** The words on a question, as the kernel knows them. @type {["yes" | "always" | "no", string, string][]} */
const PERMITS = [
  ["yes", "Allow", "Run this call"],
  ["always", "Always", "Run this call and every later one of this function"],
  ["no", "Deny", "Do not run it; the model is told"],
];

/**
 * What is asked of the user about one tool call. Everything in it is text.
 *
 * @param {Question} question
 * @param {(answer: "yes" | "no" | "always", onSilence: () => void) => void} say
 */
function createQuestion({ name, args, where }, say) {
  const root = element("div", "llm-magic-question");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `May ${name} run?`);
  // Keys are for the buttons here, not for the notebook around; and a second Enter is for nobody.
  root.dataset.lmSuppressShortcuts = "true";
  root.tabIndex = -1;
  const line = element("p", "");
  line.append("Run ", element("code", "", name), where ? ` from ${where}?` : "?");
  root.append(line);
  if (args && args !== "{}") {
    const written = element("pre", "", args);
    // Long arguments are scrolled, by keyboard too.
    written.tabIndex = 0;
    written.setAttribute("role", "region");
    written.setAttribute("aria-label", `Arguments for ${name}`);
    root.append(written);
  }
  const buttons = PERMITS.map(([answer, label, title]) => {
    const button = /** @type {HTMLButtonElement} */ (element("button", `llm-magic-button llm-magic-permit-${answer}`, label));
    button.type = "button";
    button.title = title;
    button.setAttribute("aria-label", `${label}: ${name}`);
    button.onclick = () => {
      root.focus({ preventScroll: true });
      for (const one of buttons) one.disabled = true;
      say(answer, () => buttons.forEach((one) => (one.disabled = false)));
    };
    return button;
  });
  const row = element("div", "llm-magic-permits");
  row.append(...buttons);
  root.append(row);
  return root;
}

/**
 * The questions that wait for the user's word on the calls of a turn.
 *
 * @param {ReturnType<typeof createStore>} store
 * @param {string} id
 */
function createQuestions(store, id) {
  const root = element("div", "llm-magic-questions");
  // Read out as they come: an answer waits for them.
  root.setAttribute("aria-live", "polite");
  root.tabIndex = -1;
  /** @type {Map<string, HTMLElement>} */
  const shown = new Map();
  return {
    root,
    /** @param {string} turn as it is named @param {Question[]} asked */
    draw(turn, asked) {
      const wanted = new Map(asked.map((question) => [`${turn} ${question.call}`, question]));
      const hadFocus = root.contains(document.activeElement);
      for (const [key, node] of shown) {
        if (wanted.has(key)) continue;
        node.remove();
        shown.delete(key);
      }
      for (const [key, question] of wanted) {
        if (shown.has(key)) continue;
        const node = createQuestion(question, (answer, onSilence) => store.permit(id, question.call, answer, onSilence));
        shown.set(key, node);
        root.append(node);
      }
      // Who answers by keyboard goes on from here, at the next question where there is one.
      if (hadFocus && !root.contains(document.activeElement)) ([...shown.values()][0] ?? root).focus({ preventScroll: true });
    },
  };
}

/**
 * Draw one turn.
 *
 * @param {any} model the widget's model: its manager typesets formulas where the front end can
 * @param {ReturnType<typeof createStore>} store
 * @param {string} id
 * @param {CodeAction[]} [actions] buttons on every block of code
 * @returns {{root: HTMLElement, draw: (lows?: {a: number, r: number}) => void, remove: () => void}}
 */
function createTurn(model, store, id, actions = [COPY_CODE]) {
  const root = element("div", "llm-magic-turn");
  const sent = element("div", "llm-magic-sent");
  sent.hidden = true;
  const reasoning = /** @type {HTMLDetailsElement} */ (element("details", "llm-magic-reasoning"));
  const thoughts = element("div", "jp-RenderedHTMLCommon llm-magic mathjax_ignore tex2jax_ignore");
  reasoning.append(element("summary", "", "Reasoning"), thoughts);
  const answer = element("div", "jp-RenderedHTMLCommon llm-magic llm-magic-answer mathjax_ignore tex2jax_ignore");
  const questions = createQuestions(store, id);
  const notes = element("div", "llm-magic-notes");
  const bar = element("div", "llm-magic-bar");
  const state = element("span", "llm-magic-state");
  const figures = element("span", "llm-magic-figures");
  const stop = iconButton("Stop answering", ICONS.stop, "llm-magic-stop");
  stop.append(element("span", "", "Stop"));
  stop.onclick = () => {
    stop.disabled = true;
    store.stop(id);
    setTimeout(() => (stop.disabled = false), 2000);
  };
  bar.append(state, figures, stop);
  const foot = element("p", "llm-magic-footer");
  root.append(sent, reasoning, answer, questions.root, notes, bar, foot);

  let began = 0;
  let clock = 0;
  let wasOpen = false;
  let figuresSeen = null;

  function typeset(node) {
    if (!node.querySelector?.(".tex2jax_process") && !node.matches?.(".tex2jax_process")) return;
    // MathJax looks at classes from here on only: without this it would typeset what the renderer has left as text.
    if (!node.matches(".tex2jax_process")) node.classList.add("mathjax_ignore", "tex2jax_ignore");
    try {
      model.widget_manager?.rendermime?.latexTypesetter?.typeset(node);
    } catch (error) {
      // Formulas stay readable as TeX.
      console.warn("llm_magic: formulas are not typeset", error);
    }
  }

  /** Buttons on blocks of code; what a tool was told and said is none. */
  function addButtons(node) {
    if (node.matches(TOOL)) {
      // Long ones are scrolled, by keyboard too.
      for (const block of node.querySelectorAll("pre")) block.tabIndex = 0;
      return;
    }
    const blocks = node.localName === "pre" ? [node] : (node.querySelectorAll?.("pre") ?? []);
    for (const block of blocks) {
      if (block.parentElement?.querySelector(":scope > .llm-magic-code-actions")) continue;
      const buttons = element("div", "llm-magic-code-actions");
      for (const action of actions) {
        const button = iconButton(action.label, action.icon);
        button.onclick = () => action.run(block.textContent, button);
        buttons.append(button);
      }
      // Beside the code, not in it: its text stays what the model wrote.
      block.before(buttons);
    }
  }

  const isOpen = () => OPEN.has(store.state.turns[id]?.s);
  const onDrawn = (node, isWhole) => {
    addButtons(node);
    if (isWhole || !isOpen()) typeset(node);
  };
  const drawAnswer = createPieces(answer, onDrawn);
  const drawThoughts = createPieces(thoughts, (node, isWhole) => (isWhole || !isOpen()) && typeset(node));

  const tick = () => {
    const turn = store.state.turns[id];
    if (turn?.fig) figures.textContent = figuresText(turn.fig, (performance.now() - began) / 1000);
  };

  function drawBar(turn) {
    if (turn.fig && turn.fig !== figuresSeen) {
      figuresSeen = turn.fig;
      began = performance.now() - turn.fig.age * 1000;
    }
    const open = OPEN.has(turn.s);
    // The last piece was drawn while it could still change.
    if (!open && wasOpen) [answer, thoughts].forEach(typeset);
    wasOpen = open;
    root.dataset.state = turn.s ?? "waiting";
    root.setAttribute("aria-busy", String(open && turn.s !== "asking"));
    bar.hidden = !open;
    state.textContent = (turn.s === "waiting" && turn.wait) || WORDS[turn.s] || "";
    if (open && !clock) clock = setInterval(tick, 200);
    else if (!open && clock) clock = clearInterval(clock) ?? 0;
    if (open) tick();
  }

  function draw(lows = { a: 0, r: 0 }) {
    const turn = store.state.turns[id];
    if (!turn) return;
    if (sent.hidden && turn.pics) {
      sent.innerHTML = turn.pics;
      sent.hidden = false;
    }
    if (lows.r < Infinity) drawThoughts(turn.r, lows.r);
    if (lows.a < Infinity) drawAnswer(turn.a, lows.a);
    reasoning.hidden = !turn.r.length;
    answer.hidden = !turn.a.length;
    questions.draw(turn.w, turn.asks ?? []);
    const lines = turn.notes ?? [];
    if (lines.join("\n") !== notes.dataset.text) {
      notes.dataset.text = lines.join("\n");
      notes.replaceChildren(...lines.map((line) => element("p", "llm-magic-notice", line)));
    }
    foot.textContent = turn.foot ?? "";
    foot.hidden = !turn.foot;
    drawBar(turn);
  }

  return { root, draw, remove: () => clearInterval(clock) };
}
