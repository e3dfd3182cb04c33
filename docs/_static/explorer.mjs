// The explorer's page: a decoder exported by `export_onnx`, run here by onnxruntime-web
import * as ort from './ort.wasm.min.mjs'

const limit = 3, tiles = 15, shown = 8, pause = 120
const base = new URL('.', import.meta.url)
ort.env.wasm.numThreads = 1                                    // more need headers that few servers send
ort.env.logLevel = 'error'

const el = (tag, attrs = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), attrs)
  e.append(...children)
  return e
}
const normal = () => Math.sqrt(-2*Math.log(1 - Math.random())) * Math.cos(2*Math.PI*Math.random())
const clip = v => Math.max(-limit, Math.min(limit, v))

// A decoder and what is known of it
class Model {
  static async load(name) {
    const get = async (file, as) => {
      const r = await fetch(new URL(`models/${file}`, base))
      if (!r.ok) throw new Error(`${file}: ${r.status} ${r.statusText}`)
      return r[as]()
    }
    const m = Object.assign(new Model(), await get(`${name}.json`, 'json')), onnx = await get(`${name}.onnx`, 'arrayBuffer')
    m.session = await ort.InferenceSession.create(onnx)
    m.size = m.order.length
    m.last = Promise.resolve()
    return m
  }
  // Mean images of codes, one after another: {data, dims: [n, channels, height, width]}
  decode(zs) {
    const input = new ort.Tensor('float32', Float32Array.from(zs.flat()), [zs.length, this.size])
    this.last = this.last.catch(() => {}).then(async () => (await this.session.run({z: input})).images)
    return this.last
  }
}

// Image `i` of decoded ones, at (x, y) of a canvas
const paint = (canvas, {data, dims: [, c, h, w]}, i = 0, x = 0, y = 0) => {
  const px = new ImageData(w, h), at = i*c*h*w
  for (let p = 0; p < h*w; p++) {
    for (let k = 0; k < 3; k++) px.data[4*p + k] = Math.round(255*data[at + (c == 3 ? k : 0)*h*w + p])
    px.data[4*p + 3] = 255
  }
  canvas.getContext('2d').putImageData(px, x, y)
}

class Explorer {
  constructor(root, model) {
    Object.assign(this, {root, model, z: Array(model.size).fill(0), axes: model.order.slice(0, 2), busy: false, stale: false})
    this.picture = el('canvas', {className: 'explorer-picture'})
    this.sheet   = el('canvas', {className: 'explorer-sheet'})
    this.dot     = el('span', {className: 'explorer-dot'})
    this.pad     = el('div', {className: 'explorer-pad', tabIndex: 0}, this.sheet, this.dot)
    this.pad.setAttribute('role', 'group')
    this.pad.setAttribute('aria-label', 'The plane of two latents: drag, or move with the arrow keys')
    this.status  = el('output', {className: 'explorer-status'})
    this.sliders = this.z.map((_, i) => this.slider(i))
    const rows = model.order.map(i => this.sliders[i].row), more = rows.slice(shown)
    const button = (text, f, title) => el('button', {type: 'button', textContent: text, onclick: f, title})
    const axis = (k, name) => {
      const s = el('select', {onchange: () => { this.axes[k] = +s.value; this.show(); this.map() }}, ...model.order.map(i => el('option', {value: i, textContent: `z[${i}]`})))
      s.value = this.axes[k]
      return el('label', {}, name, s)
    }
    root.replaceChildren(
      el('div', {className: 'explorer-pictures'},
        el('figure', {}, this.picture, el('figcaption', {textContent: 'What the decoder makes of z'})),
        el('figure', {}, this.pad, el('figcaption', {}, 'Drag: ', ...(model.size > 2 ? [axis(0, ' across '), axis(1, ' down ')] : ['z[0] across, z[1] down'])))),
      el('div', {className: 'explorer-buttons'},
        button('Middle', () => this.move(this.z.map(() => 0)), 'The mean of the prior'),
        button('Draw', () => this.move(this.z.map(normal)), 'A draw from the prior'),
        ...model.examples.map(e => button(e.name, () => this.move(e.z), `The code of a test image of class ${e.name}`))),
      el('div', {className: 'explorer-sliders'}, ...rows.slice(0, shown)),
      ...(more.length ? [el('details', {}, el('summary', {textContent: `${more.length} more`}), el('div', {className: 'explorer-sliders'}, ...more))] : []),
      this.status)
    this.pad.onpointerdown = e => { this.pad.setPointerCapture(e.pointerId); this.drag(e) }
    this.pad.onpointermove = e => { if (this.pad.hasPointerCapture(e.pointerId)) this.drag(e) }
    this.pad.onkeydown = e => {
      const step = {ArrowLeft: [0, -.1], ArrowRight: [0, .1], ArrowUp: [1, -.1], ArrowDown: [1, .1]}[e.key]
      if (!step) return
      e.preventDefault()
      this.set(this.axes[step[0]], clip(this.z[this.axes[step[0]]] + step[1]))
    }
  }

  slider(i) {
    const input = el('input', {type: 'range', min: -limit, max: limit, step: .01, value: 0, name: `z${i}`}), value = el('span')
    input.oninput = () => this.set(i, +input.value)
    return {input, value, row: el('label', {}, `z[${i}]`, input, value)}
  }

  drag(e) {
    const box = this.pad.getBoundingClientRect()
    const at = (v, from, size) => clip(limit*(2*(v - from)/size - 1))
    const z = [...this.z]
    z[this.axes[0]] = at(e.clientX, box.left, box.width)
    z[this.axes[1]] = at(e.clientY, box.top, box.height)
    return this.move(z)
  }
  set(i, v) { return this.move(this.z.map((o, k) => k == i ? v : o)) }
  move(z) { this.z = z; return this.show() }

  // Sliders, dot and picture as z says; a z that comes meanwhile is the next to be drawn
  async show() {
    this.sliders.forEach(({input, value}, i) => { input.value = this.z[i]; value.textContent = this.z[i].toFixed(2) })
    const at = k => `${50 + 50*clip(this.z[this.axes[k]])/limit}%`
    Object.assign(this.dot.style, {left: at(0), top: at(1)})
    this.stale = true
    if (this.busy) return
    this.busy = true
    try {
      while (this.stale) {
        this.stale = false
        const start = performance.now(), x = await this.model.decode([this.z])
        Object.assign(this.picture, {width: x.dims[3], height: x.dims[2]})
        paint(this.picture, x)
        this.status.textContent = `Decoded in ${(performance.now() - start).toFixed(1)} ms, on this device`
      }
    } finally { this.busy = false }
    this.mapLater()
  }

  // The plane behind the dot: codes that differ in the two axes only
  mapLater() {
    const others = JSON.stringify([this.axes, this.z.filter((_, i) => !this.axes.includes(i))])
    if (others == this.mapped) return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => { this.mapped = others; this.map() }, this.mapped ? pause : 0)
  }
  async map() {
    const at = i => limit*((2*i + 1)/tiles - 1), zs = []
    for (let r = 0; r < tiles; r++) for (let c = 0; c < tiles; c++) {
      const z = [...this.z]
      z[this.axes[0]] = at(c); z[this.axes[1]] = at(r)
      zs.push(z)
    }
    const x = await this.model.decode(zs), [, , h, w] = x.dims
    Object.assign(this.sheet, {width: tiles*w, height: tiles*h})
    zs.forEach((_, i) => paint(this.sheet, x, i, (i % tiles)*w, Math.floor(i/tiles)*h))
  }
}

const start = async (root) => {
  const panel = el('div', {textContent: 'Loading ...'}), cache = {}
  if (location.protocol == 'file:') { root.textContent = 'The explorer needs a server: make preview'; return }
  const open = async name => {
    try {
      const model = await (cache[name] ??= Model.load(name))
      window.explorer = new Explorer(panel, model)
      await window.explorer.move([...model.examples[0].z])
      root.dataset.model = name
    } catch (e) { delete cache[name]; panel.textContent = `The decoder cannot be run here: ${e.message}` }
  }
  const choice = el('select', {name: 'model', onchange: () => open(choice.value)}, ...[...root.querySelectorAll('li')].map(li => el('option', {value: li.dataset.model, textContent: li.textContent})))
  root.replaceChildren(el('label', {className: 'explorer-choice'}, 'Model ', choice), panel)
  await open(choice.value)
}

for (const root of document.querySelectorAll('.explorer')) start(root)
