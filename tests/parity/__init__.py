"""One suite over all runtimes: does each of them adapt and predict as PyTorch does?"""
