"""The proxies themselves, a family a file; `archcast.zero_cost.catalogue` says what is where."""
