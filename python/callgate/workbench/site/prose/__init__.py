"""The texts of pages, in our own words, made from the facts about a tool."""
