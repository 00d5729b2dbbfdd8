"use strict";
// Encodes text as the tokenizer does, and keeps what happened on the way. Byte strings have a character for each byte.

function makeEncoder(data) {
  const tokenOf = new Map(), idOf = new Map(), ranks = new Map(), madeOf = new Map();
  data.ids.forEach((id, index) => { tokenOf.set(id, data.tokens[index]); });
  const added = new Map(data.added);
  const addedIds = new Set(added.values()), unmade = new Set(data.unmade);
  for (const [id, token] of tokenOf) if (!addedIds.has(id)) idOf.set(token, id);
  for (let index = 0; index < data.merges.length; index += 2) {
    const [left, right] = [data.merges[index], data.merges[index + 1]], rank = index / 2;
    ranks.set(left + "," + right, rank);
    const joined = idOf.get(tokenOf.get(left) + tokenOf.get(right));
    if (!madeOf.has(joined)) madeOf.set(joined, [left, right, rank]);
  }
  const pattern = new RegExp(data.pattern, "gu");
  // Longest first, where several begin at the same place.
  const contents = [...added.keys()].sort((one, other) => other.length - one.length);
  const special = contents.length ? new RegExp(contents.map(escapePattern).join("|"), "gu") : null;

  function merge(bytes) {
    let parts = [...bytes].map((byte) => idOf.get(byte));
    if (unmade.has(idOf.get(bytes))) return { ids: [idOf.get(bytes)], stages: [{ parts, pair: null }], whole: true };
    const stages = [{ parts, pair: null }];
    for (;;) {
      let best = Infinity, pair = null;
      for (let index = 0; index + 1 < parts.length; index++) {
        const rank = ranks.get(parts[index] + "," + parts[index + 1]);
        if (rank !== undefined && rank < best) { best = rank; pair = [parts[index], parts[index + 1]]; }
      }
      if (pair === null) return { ids: parts, stages };
      const joined = idOf.get(tokenOf.get(pair[0]) + tokenOf.get(pair[1])), next = [];
      for (let index = 0; index < parts.length; index++) {
        if (parts[index] === pair[0] && parts[index + 1] === pair[1]) { next.push(joined); index++; }
        else next.push(parts[index]);
      }
      parts = next;
      stages.push({ parts, pair, rank: best, joined });
    }
  }

  function ordinary(text, words) {
    let end = 0;
    const add = (piece) => { if (piece) words.push({ text: piece, ...merge(bytesOf(piece)) }); };
    for (const match of text.matchAll(pattern)) {
      add(text.slice(end, match.index));
      add(match[0]);
      end = match.index + match[0].length;
    }
    add(text.slice(end));
  }

  // The pre-tokens of a text, each with its ids and the stages of its merging.
  function encode(text) {
    if (data.normalizer === "nfc") text = text.normalize("NFC");
    const words = [];
    let end = 0;
    for (const match of special ? text.matchAll(special) : []) {
      ordinary(text.slice(end, match.index), words);
      words.push({ text: match[0], ids: [added.get(match[0])], stages: [], special: true });
      end = match.index + match[0].length;
    }
    ordinary(text.slice(end), words);
    return words;
  }

  return { encode, tokenOf, madeOf, addedIds };
}

function escapePattern(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function bytesOf(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

// A token as people read it; bytes that are no whole characters as hexadecimal digits.
function readable(token) {
  try {
    const bytes = Uint8Array.from(token, (byte) => byte.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
      .replace(/ /g, "\u2423").replace(/\n/g, "\u23ce").replace(/\t/g, "\u21e5").replace(/\r/g, "\u240d");
  } catch {
    return Array.from(token, (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
  }
}

function escaped(token) {
  return Array.from(token, (byte) => {
    const code = byte.charCodeAt(0);
    return code >= 32 && code < 127 ? byte : "\\x" + code.toString(16).padStart(2, "0");
  }).join("");
}

function showPage(data) {
  const find = (id) => document.getElementById(id);
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  let encoder;
  try {
    encoder = makeEncoder(data);
  } catch (error) {
    find("split").textContent = "This tokenizer's pattern is one that a browser's regular expressions do not know: " + error.message;
    encoder = makeEncoder({ ...data, pattern: "[^]+" });
    find("text").disabled = true;
  }
  const { tokenOf, madeOf, addedIds } = encoder;
  const chip = (id) => {
    const made = element("span", readable(tokenOf.get(id)));
    made.title = "id " + id;
    return made;
  };

  function showStages(word) {
    const stages = find("stages");
    stages.replaceChildren();
    if (word.special) {
      stages.append(element("p", "\u201c" + word.text + "\u201d is an added token: it is found before anything is split, and never merged."));
      return;
    }
    const merges = word.stages.length - 1;
    const told = word.whole
      ? "is a token that no merge makes, and is taken as a whole."
      : `takes ${merges} ${merges === 1 ? "merge" : "merges"} from ${word.stages[0].parts.length} bytes to ${word.ids.length} ${word.ids.length === 1 ? "token" : "tokens"}.`;
    stages.append(element("p", "\u201c" + word.text.replace(/ /g, "\u2423").replace(/\n/g, "\u23ce") + "\u201d " + told));
    for (const stage of word.stages) {
      const row = element("div", undefined, "stage");
      const label = stage.pair
        ? `merge ${stage.rank + 1}: ${readable(tokenOf.get(stage.pair[0]))} + ${readable(tokenOf.get(stage.pair[1]))}`
        : "its bytes";
      row.append(element("div", label, "tokenizer"));
      const line = element("div", undefined, "line");
      for (const id of stage.parts) {
        const made = chip(id);
        if (stage.pair && id === stage.joined) made.classList.add("new");
        line.append(made);
      }
      row.append(line);
      stages.append(row);
    }
  }

  function showText() {
    const text = find("text").value;
    const words = encoder.encode(text);
    const line = find("split");
    line.replaceChildren();
    const ids = [];
    for (const word of words) {
      const button = element("button", undefined, "word");
      button.type = "button";
      for (const id of word.ids) { button.append(chip(id)); ids.push(id); }
      button.addEventListener("click", () => {
        line.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
        button.classList.add("chosen");
        showStages(word);
      });
      line.append(button);
    }
    const size = bytesOf(text).length;
    find("counts").textContent = `${ids.length.toLocaleString("en")} tokens, ${words.length.toLocaleString("en")} pre-tokens, ` +
      `${size.toLocaleString("en")} bytes` + (ids.length ? `: ${(size / ids.length).toFixed(2)} bytes a token` : "");
    find("ids").textContent = ids.join(" ");
    const longest = words.reduce((best, word, index) => (word.stages.length > (words[best]?.stages.length ?? 0) ? index : best), 0);
    if (words.length) line.children[longest].click(); else find("stages").replaceChildren();
  }

  function showMatches() {
    const wanted = find("search").value, matches = [];
    const bytes = bytesOf(wanted), number = /^\d+$/.test(wanted) ? Number(wanted) : -1;
    if (tokenOf.has(number)) matches.push(number);
    for (const [id, token] of tokenOf) if (id !== number && wanted && token.includes(bytes)) matches.push(id);
    const most = 100, body = find("matches");
    body.replaceChildren();
    for (const id of matches.slice(0, most)) {
      const row = element("tr"), token = tokenOf.get(id), made = madeOf.get(id);
      const origin = addedIds.has(id) ? "added" : made
        ? `${readable(tokenOf.get(made[0]))} + ${readable(tokenOf.get(made[1]))} (merge ${(made[2] + 1).toLocaleString("en")})`
        : token.length === 1 ? "a byte" : "";
      row.append(element("td", id, "number"), element("td", readable(token), "code"), element("td", escaped(token), "code"),
        element("td", token.length, "number"), element("td", origin, "code"));
      body.append(row);
    }
    find("found").textContent = wanted === "" ? "" : `${matches.length.toLocaleString("en")} tokens` +
      (matches.length > most ? `, the first ${most} of them` : "");
  }

  find("text").addEventListener("input", showText);
  find("search").addEventListener("input", showMatches);
  if (!find("text").disabled) showText();
  showMatches();
}

if (typeof document !== "undefined") showPage(JSON.parse(document.getElementById("data").textContent));
