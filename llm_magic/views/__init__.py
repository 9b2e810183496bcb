"""Views: how one answer is shown. They draw events and decide nothing."""
