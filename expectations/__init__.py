"""CHECK: Great Expectations suites over what landed and over what is about to be published."""
