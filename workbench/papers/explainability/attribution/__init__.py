"""Attribution: which tokens of a prompt speak for an answer."""
