"""The live mirror, in client-go's words: reflector, store, informer."""
