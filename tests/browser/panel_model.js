// What stands in for Jupyter in a bare page: the widget's model, with a kernel that notes what it is told and answers as
// the test says. Installed before the panel.
"use strict";

window.fake = (() => {
  const listeners = new Map();
  const fire = (name, ...args) => [...(listeners.get(name) ?? [])].forEach((listener) => listener(...args));
  const state = { q: 0, t: "panel", head: {}, order: [], turns: {} };

  const fake = {
    /** Requests made by comm (`do`, with the sizes of their buffers), and what was said over the control channel. */
    requests: [],
    said: [],
    /** Answers to requests by name: null leaves a request unanswered. */
    answers: {},
    cells: [],
    listeners,

    model: {
      get: (name) => (name === "snap" ? structuredClone(fake.whole ?? state) : undefined),
      on: (name, listener) => listeners.set(name, [...(listeners.get(name) ?? []), listener]),
      off: (name, listener) =>
        listeners.set(name, (listeners.get(name) ?? []).filter((other) => other !== listener)),
      send: (content, _callbacks, buffers = []) => {
        // What has been said over the control channel is said again by comm until the kernel tells that it hears us there.
        if (content.k !== "do") return;
        fake.requests.push({ ...content, buffers: buffers.map((buffer) => buffer.byteLength) });
        const answer = content.do in fake.answers ? fake.answers[content.do] : { ok: true };
        if (answer) queueMicrotask(() => fake.hear({ k: "done", id: content.id, ...answer }));
      },
      widget_manager: {
        kernel: {
          username: "user",
          clientId: "page",
          sendControlMessage: ({ content }) => {
            fake.said.push(content);
            if (content.k === "text") queueMicrotask(() => fake.hear({ k: "text", slot: content.slot, text: fake.source }));
          },
        },
        context: {
          model: {
            sharedModel: {
              get cells() {
                return fake.cells;
              },
              insertCell: (index, cell) => fake.cells.splice(index, 0, cell),
            },
          },
        },
      },
    },

    /** A custom message from the kernel. */
    hear: (message) => fire("msg:custom", message),

    /** The next patch. */
    patch: (changes) => fake.hear({ k: "p", q: (state.q += 1), ...changes }),

    /** Fields of a turn, its texts as pieces that replace what there is. */
    turn: (slot, { a, r, ...fields }, lengths = {}) => {
      const total = (pieces) => pieces.reduce((sum, one) => sum + (one[1] && Array.isArray(one) ? one[1] : one).length, 0);
      const texts = Object.fromEntries(
        Object.entries({ a, r }).filter(([, pieces]) => pieces).map(([name, pieces]) => [name, [0, 0, pieces, total(pieces)]]),
      );
      fake.patch({ turns: { [slot]: { ...fields, ...texts } }, ...lengths });
    },

    /** Answer a request that was left open. */
    answer: (index, answer) => fake.hear({ k: "done", id: fake.requests.at(index).id, ...answer }),

    fire,

    /** Start the panel from its source, in an element of the page. */
    start: async (source, whole) => {
      Object.assign(state, whole);
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      const widget = (await import(url)).default();
      fake.end = widget.initialize({ model: fake.model });
      const close = widget.render({ model: fake.model, el: document.getElementById("host"), signal: new AbortController().signal });
      fake.close = () => {
        close();
        fake.end();
      };
    },
  };
  return fake;
})();
