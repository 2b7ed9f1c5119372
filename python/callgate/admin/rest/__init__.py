"""The admin API as REST: requests and answers as JSON by the `google.api.http` options of its description."""
