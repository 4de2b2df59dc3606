"""One client's answer: what was asked, who may be seen, in what order, and why."""
