// Colours by kind, for light and dark: chosen to stay apart for colour-blind readers, too.
const HUES = {
  input: [210, 12], output: [150, 45], loss: [0, 62], metric: [38, 70], convolution: [214, 70], linear: [262, 52],
  activation: [14, 68], normalization: [172, 50], pooling: [146, 42], recurrent: [314, 48], attention: [286, 54],
  shape: [220, 8], arithmetic: [46, 58], parameter: [220, 14], library: [196, 40], block: [224, 30],
};

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function hsl(hue, saturation, lightness) {
  const a = (saturation / 100) * Math.min(lightness / 100, 1 - lightness / 100);
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness / 100 - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return "#" + [part(0), part(8), part(4)].map((v) => v.toString(16).padStart(2, "0")).join("");
}

function kindColors(kind) {
  const [hue, saturation] = HUES[kind] ?? HUES.library;
  return isDark()
    ? { fill: hsl(hue, saturation * 0.62, 21), stroke: hsl(hue, saturation * 0.8, 52), mark: hsl(hue, saturation, 62) }
    : { fill: hsl(hue, Math.min(100, saturation * 1.25), 95), stroke: hsl(hue, saturation * 0.75, 66), mark: hsl(hue, saturation, 48) };
}

function theme() {
  return isDark()
    ? { paper: "#14171c", ink: "#e8eaed", soft: "#9aa3ad", edge: "#667180", block: "#1b1f26", border: "#3a424d",
        select: "#ffb454", path: "#ff8a65", reverse: "#f06595", added: "#3fb068", removed: "#e5534b", changed: "#d9a520",
        addedFill: "#143321", removedFill: "#3d1a1c", changedFill: "#3a3013" }
    : { paper: "#fbfbfc", ink: "#1c2128", soft: "#66707b", edge: "#97a1ac", block: "#f3f5f8", border: "#cfd6de",
        select: "#e8710a", path: "#d9480f", reverse: "#c2255c", added: "#1a7f37", removed: "#cf222e", changed: "#b78103",
        addedFill: "#dafbe1", removedFill: "#ffebe9", changedFill: "#fff3c9" };
}

// A light-to-strong scale for what an overlay measures, 0 to 1.
function heat(value) {
  const t = Math.max(0, Math.min(1, value));
  return isDark() ? hsl(48 - 40 * t, 30 + 55 * t, 20 + 26 * t) : hsl(52 - 44 * t, 60 + 32 * t, 95 - 38 * t);
}

const STATUS_NAMES = { added: "only here", removed: "only here", changed: "changed", same: "the same" };
