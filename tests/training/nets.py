"""Small nets that the tests of training share."""

DIGITS = """
net mlp(h = 24) {
    input image: [1, 8, 8]
    input label: class(10)
    logits = image -> flatten -> linear(h) -> batchnorm -> relu -> dropout(0.2) -> linear(10)
    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
"""

TWO_STAGES = (
    DIGITS
    + """
train warm {
    data digits
    augment normalize
    optimizer adam(lr = 0.003)
    only logits.linear_2.*
    batch 64
    epochs 2
}
train fine {
    data digits
    augment normalize
    optimizer sgd(lr = 0.05, momentum = 0.9, weight_decay = 1e-4)
    schedule cosine(warmup = 1)
    batch 32
    epochs 3
    clip 1.0
    seed 5
}
"""
)
