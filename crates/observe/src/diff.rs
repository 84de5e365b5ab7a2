//! Two policies as rights that were added and removed, and not as lines of text.
