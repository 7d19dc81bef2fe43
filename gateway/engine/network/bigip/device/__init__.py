"""One BIG-IP and its group, asked and told over iControl REST: tokens, tasks, what is read, what is sent."""
