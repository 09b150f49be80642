// Makes JPEG and WebP files of a picture by the browser's own canvas, apart from the page. The first message is the picture; those that
// follow are a type and a quality, each answered with a file's bytes.

let canvas = null;

addEventListener("message", async ({ data: { width, height, data, type, quality } }) => {
  try {
    if (data) {
      canvas = new OffscreenCanvas(width, height);
      return canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
    }
    const blob = await canvas.convertToBlob({ type, quality: quality / 100 });
    if (blob.type !== type) throw new Error(`this browser writes no ${type}`);
    postMessage({ bytes: await blob.arrayBuffer() });
  } catch (error) {
    postMessage({ error: error.message ?? String(error) });
  }
});
