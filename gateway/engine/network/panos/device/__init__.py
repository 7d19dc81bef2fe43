"""One firewall and its pair, asked over the XML API: keys, what answers mean, who is active."""
