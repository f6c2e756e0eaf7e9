"""The one way in which processes of the cluster talk: typed messages in length-limited frames."""
