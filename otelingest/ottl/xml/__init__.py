"""Documents and XPath, for the converters that select and change parts of XML."""
