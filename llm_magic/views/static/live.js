// The live view of one turn: a widget that lives as long as its answer is being made. The notebook keeps static HTML.

export default () => {
  let store;
  return {
    // The store listens from here on: what came before a view was drawn is in it.
    initialize({ model }) {
      store = createStore(model);
      return () => store.close();
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
