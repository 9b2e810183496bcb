// Placeholder until the panel's page is merged.
export default () => ({ initialize({ model }) { createStore(model); }, render() {} });
