"""DistilRoBERTa against RoBERTa-base: is it twice as fast?"""
