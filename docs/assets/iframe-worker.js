// Browsers start no workers for pages that are opened as files. There, a hidden frame runs the worker's script.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      const inside = this.frame.contentWindow
      inside.postMessage = data => setTimeout(() => this.onmessage && this.onmessage({ data }))
      const script = inside.document.createElement("script")
      script.src = new URL(url, location)
      script.onload = () => {
        this.ready = true
        this.waiting.splice(0).forEach(data => this.postMessage(data))
      }
      script.onerror = error => this.onerror && this.onerror(error)
      inside.document.body.append(script)
    }
    postMessage(data) {
      if (this.ready) setTimeout(() => this.frame && this.frame.contentWindow.onmessage({ data }))
      else this.waiting.push(data)
    }
    terminate() {
      this.frame.remove()
      this.frame = null
    }
  }
}
