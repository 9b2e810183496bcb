"""The chat panel: a session's current conversation in a widget beside the notebook, both ways.

What cells ask appears in it while it streams; what it asks goes the way of every ask, through the session.
"""
