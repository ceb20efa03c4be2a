"""A bundle measured here: is it right, how good is it, how fast?

| module | question |
|---|---|
| `verify` | does this machine compute what PyTorch did? |
| `evaluate` | how many queries of sampled episodes are right? |
| `unknown` | how well are samples of other classes told apart? |
| `bench`, `bench_record`, `cold_start` | how long does it take, from a cold start too? |
"""
