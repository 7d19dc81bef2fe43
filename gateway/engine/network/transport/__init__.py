"""How any device is spoken to, whoever made it: over verified HTTPS, with patience that ends, believing nothing.

A device is a stranger with a known address. It may hang, lie, or say secrets; what it says is bounded and made harmless
before it is repeated anywhere.
"""
