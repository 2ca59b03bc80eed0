// Korean for the theme's search worker, in place of its own lunr.ko. Written for lunr 2.3.9.
//
// The theme cuts text and queries at the `separator` of mkdocs.yml, which also takes endings away,
// and looks each word of a query up as the beginning of index words. Korean words are often joined
// to their neighbours and then begin none. Such a word is cut into index words here, or else taken
// for the nearest one: words that the theme can find, count and highlight.
;(function (lunr) {
  // Words of one syllable that mean something; any other is more likely torn off a longer word.
  const SYLLABLES = '값락랙뷰큐키풀행'
  const COST = { word: 1, beginning: 1.2, syllable: 1.5, unknown: 3 }
  const LONGEST = 8
  // A section need not hold these to answer a question.
  const ASKING = /^(?:무엇|무슨|왜|어떻게|언제|어디|어느|어떤|누가|뭐|몇)$/

  let words = [] // of the index, in order
  let spelled = [] // the same, Hangul taken apart into its letters
  let sections = [] // in how many each of them stands

  lunr.ko = function () {
    this.pipeline.reset()
    this.searchPipeline.reset()
  }

  const build = lunr.Builder.prototype.build
  lunr.Builder.prototype.build = function () {
    const index = build.call(this)
    words = Object.keys(index.invertedIndex).sort()
    spelled = words.map(letters)
    sections = words.map((word) => Object.keys(index.invertedIndex[word].text).length)
    return index
  }

  // A query's words become index words, before the theme makes beginnings of them.
  const run = lunr.QueryLexer.prototype.run
  lunr.QueryLexer.prototype.run = function () {
    run.call(this)
    this.lexemes = this.lexemes.flatMap((lexeme) => {
      if (lexeme.type !== lunr.QueryLexer.TERM || lexeme.str.includes('*')) return lexeme
      const parts = lexeme.str.split(lunr.tokenizer.separator).filter(Boolean)
      return [...new Set(parts.flatMap(indexed))].map((str) => ({ ...lexeme, str }))
    })
  }

  function indexed(term) {
    const word = term.toLowerCase().replace(/[ㄱ-ㅎㅏ-ㅣ]+$/, '') // a syllable half typed
    if (word.length < 2 || begins(word)) return [word]
    const { pieces, covered } = /^[가-힣]+$/.test(word) ? cut(word) : { pieces: [], covered: 0 }
    if (pieces.length && covered >= word.length / 2) return pieces
    const near = nearest(word)
    return near ? [near] : pieces.length ? pieces : [word]
  }

  // The cheapest way to cut a word into words of the index, and how many syllables they cover.
  function cut(word) {
    const best = [{ cost: 0, covered: 0, pieces: [] }]
    for (let end = 1; end <= word.length; end++) {
      best[end] = { ...best[end - 1], cost: best[end - 1].cost + COST.unknown }
      for (let start = Math.max(0, end - LONGEST); start < end; start++) {
        const piece = word.slice(start, end)
        const { cost, covered, pieces } = best[start]
        const sum = cost + COST[kindOf(piece, end === word.length)]
        if (sum < best[end].cost) {
          best[end] = { cost: sum, covered: covered + piece.length, pieces: [...pieces, piece] }
        }
      }
    }
    return best[word.length]
  }

  function kindOf(piece, last) {
    if (piece.length === 1) return SYLLABLES.includes(piece) && known(piece) ? 'syllable' : ''
    return known(piece) ? 'word' : last && begins(piece) ? 'beginning' : ''
  }

  // The index word with the fewest wrong letters, and among those the most common one. One letter
  // in four may be wrong, and three at most.
  function nearest(word) {
    const wanted = letters(word)
    const typing = spelled.findIndex((other) => other.startsWith(wanted)) // 아웃바 of 아웃박스
    if (typing >= 0) return words[typing]
    let best = -1
    let least = Math.min(wanted.length >> 2, 3)
    spelled.forEach((other, i) => {
      if (!least || Math.abs(other.length - wanted.length) > least) return
      const wrong = distance(wanted, other)
      if (wrong > least || (wrong === least && sections[best] >= sections[i])) return
      ;[best, least] = [i, wrong]
    })
    return words[best]
  }

  // Letters to insert, leave out, replace or swap with the next.
  function distance(a, b) {
    let before = []
    let row = Array.from({ length: b.length + 1 }, (_, j) => j)
    for (let i = 1; i <= a.length; i++) {
      const next = [i]
      for (let j = 1; j <= b.length; j++) {
        next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1]))
        const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
        if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1)
      }
      ;[before, row] = [row, next]
    }
    return row[b.length]
  }

  // First what answers most of the query: the section, and the page that it stands on.
  const search = lunr.Index.prototype.search
  lunr.Index.prototype.search = function (text) {
    const results = search.call(this, text)
    const query = new lunr.Query(this.fields)
    new lunr.QueryParser(text, query).parse()
    const asked = [...new Set(query.clauses.map(({ term }) => term.replace(/\*/g, '')))]
    const meant = asked.filter((term) => !ASKING.test(term))
    const terms = meant.length ? meant : asked
    const pages = {}
    for (const result of results) {
      const found = Object.keys(result.matchData.metadata)
      result.terms = terms.filter((term) => found.some((word) => word.startsWith(term)))
      const page = (pages[pageOf(result)] ??= new Set())
      result.terms.forEach((term) => page.add(term))
    }
    for (const result of results) {
      result.score *= (result.terms.length * pages[pageOf(result)].size / terms.length ** 2) ** 2
    }
    return results
  }

  function pageOf(result) {
    return result.ref.split('#')[0]
  }

  function letters(word) {
    return word.normalize('NFD')
  }

  function known(word) {
    return words[place(word)] === word
  }

  function begins(text) {
    return (words[place(text)] || '').startsWith(text)
  }

  // Where `text` stands among the words, or would stand.
  function place(text) {
    let low = 0
    let high = words.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (words[middle] < text) low = middle + 1
      else high = middle
    }
    return low
  }
})(self.lunr)
