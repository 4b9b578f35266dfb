"""Those who evaluate: this process, processes of this machine, Ray, or an executor of the user's (`pools`)."""
