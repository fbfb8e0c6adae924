"""Twin sets: captions beside others that differ in one property, such as word order, and recordings that tell them."""
