// Masks as the service sends them: COCO's compressed run lengths, and PNG files of class numbers.

/** Run lengths down the columns, zeros first, out of COCO's letters: six bits each, the last but one a "goes on". */
export function runs(text) {
  const counts = [];
  let at = 0;
  while (at < text.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const bits = text.charCodeAt(at) - 48;
      value |= (bits & 31) << shift;
      more = (bits & 32) !== 0;
      at += 1;
      shift += 5;
      if (!more && (bits & 16)) value |= -1 << shift;
    }
    // From the fourth on, lengths are differences to the one before the last.
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

/** Lays a mask {size: [height, width], counts} in a colour [r, g, b] and opacity 0 to 255 over RGBA pixels. */
export function layRuns(pixels, mask, colour, opacity) {
  const [height, width] = mask.size;
  let place = 0, filled = false;
  for (const count of runs(mask.counts)) {
    for (let end = place + count; place < end; place += 1) {
      if (!filled) continue;
      blend(pixels, (place % height) * width + Math.floor(place / height), colour, opacity);
    }
    filled = !filled;
  }
}

/** Lays classes, the red of RGBA pixels of a grey PNG, over RGBA pixels; those that `colour` gives null stay bare. */
export function layClasses(pixels, classes, colour, opacity) {
  for (let place = 0; place < pixels.length / 4; place += 1) {
    const chosen = colour(classes[4 * place]);
    if (chosen) blend(pixels, place, chosen, opacity);
  }
}

function blend(pixels, place, colour, opacity) {
  for (let channel = 0; channel < 3; channel += 1) {
    const at = 4 * place + channel;
    pixels[at] += ((colour[channel] - pixels[at]) * opacity) / 255;
  }
}
