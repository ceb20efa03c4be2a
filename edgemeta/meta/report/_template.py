"""The frame of the page."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { --ink: #1b1f24; --paper: #ffffff; --faint: #667079; --line: #d5dbe1;
  --accent: #1f5fae; --right: #1f7a3a; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --paper: #14181c; --faint: #9aa4ad; --line: #333b43;
    --accent: #7db7f5; --right: #6fce8b; --wrong: #ff8a80; }
}
body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3, h4 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h4 { margin: 1rem 0 0.4rem; font-size: 0.95rem; color: var(--faint); }
.result { font-size: 1.7rem; font-weight: 600; margin: 0; color: var(--accent); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
caption { text-align: left; color: var(--faint); padding-bottom: 0.3rem; }
th, td { text-align: left; padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tbody th { font-weight: 400; }
figure { margin: 1rem 0; }
figure > picture > img { max-width: 100%; height: auto; }
figcaption { color: var(--faint); font-size: 0.9rem; }
details { margin: 0.75rem 0; }
summary { cursor: pointer; color: var(--accent); }
code { overflow-wrap: anywhere; }
.samples { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.samples figure { margin: 0; width: 5.5rem; border: 2px solid var(--line); border-radius: 6px;
  padding: 0.25rem; box-sizing: border-box; }
.samples img, .samples svg { width: 100%; display: block; }
.samples img { image-rendering: pixelated; }
.samples svg { color: var(--accent); }
.samples figcaption { font-size: 0.75rem; line-height: 1.3; overflow-wrap: anywhere; }
.samples .right { border-color: var(--right); }
.samples .right figcaption { color: var(--right); }
.samples .wrong { border-color: var(--wrong); border-style: dashed; }
.samples .wrong figcaption { color: var(--wrong); }
</style>
</head>
<body>
<main>
<h1>$heading</h1>
$body
</main>
</body>
</html>
"""
