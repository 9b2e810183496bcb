// The live view of one turn: a widget that lives as long as its answer is being made. The notebook keeps static HTML.

const VIEW_TYPE = "application/vnd.jupyter.widget-view+json";

/** What the page has of a turn, as a notebook keeps it. @param {Turn} turn */
function leftOf({ a, r, notes, foot }) {
  const joined = (pieces) => pieces.map(({ html }) => html).join("");
  const root = element("div", "llm-magic mathjax_ignore tex2jax_ignore");
  root.innerHTML = joined(a);
  if (r.length) {
    const reasoning = element("details", "llm-magic-reasoning");
    reasoning.innerHTML = joined(r);
    reasoning.prepend(element("summary", "", "Reasoning"));
    root.prepend(reasoning);
  }
  for (const line of [...(notes ?? []), foot]) if (line) root.append(element("p", "llm-magic-notice", line));
  return { "text/html": root.outerHTML, "text/plain": root.textContent };
}

/**
 * Put what is kept of the answer in the place of a widget's view, where the notebook can be got at: a page that was loaded
 * again does not know which of its outputs the kernel's updates are for.
 */
function place(model, id, data) {
  try {
    for (const { outputs } of model.widget_manager?.context?.model?.cells ?? []) {
      for (let index = 0; index < (outputs?.length ?? 0); index += 1) {
        const output = outputs.get(index).toJSON();
        if (output.data?.[VIEW_TYPE]?.model_id === id) outputs.set(index, { ...output, data });
      }
    }
  } catch (error) {
    // The view stays, and shows the same.
    console.warn("llm_magic: the view is not replaced", error);
  }
}

export default () => {
  let store;
  return {
    // The store listens from here on: what came before a view was drawn is in it.
    initialize({ model }) {
      store = createStore(model);
      const { state } = store;
      store.listen((message) => message.k === "kept" && place(model, state.t, message.data));
      const kernel = model.widget_manager?.kernel;
      // A kernel that ends in the middle cannot leave the static output. The store has noted it on the turn by now.
      const onStatus = (_kernel, status) => {
        if (FINAL_STATUS.has(status)) place(model, state.t, leftOf(state.turns[state.order[0]]));
      };
      kernel?.statusChanged?.connect(onStatus);
      return () => {
        kernel?.statusChanged?.disconnect(onStatus);
        store.close();
      };
    },
    render({ model, el }) {
      const [id] = store.state.order;
      const turn = createTurn(model, store, id);
      el.classList.add("llm-magic-view");
      el.setAttribute("role", "group");
      el.setAttribute("aria-label", "Answer of a model");
      const pictures = element("div", "llm-magic-sent");
      // Thumbnails of what was sent, made in Python.
      pictures.innerHTML = store.state.turns[id]?.p ?? "";
      pictures.hidden = !pictures.innerHTML;
      el.append(pictures, turn.root);
      turn.draw();
      let timers = [];
      // When it has ended, static HTML takes this view's place. Still here: what said so was lost, or the page is a later one.
      const linger = () => {
        if (timers.length || OPEN.has(store.state.turns[id]?.s)) return;
        timers = [1000, 4000, 12000].map((wait) => setTimeout(() => el.isConnected && store.say("shown"), wait));
      };
      linger();
      const end = store.view(({ turns }) => {
        if (!turns.has(id)) return;
        turn.draw(turns.get(id));
        linger();
      });
      return () => {
        end();
        turn.remove();
        timers.forEach(clearTimeout);
      };
    },
  };
};
