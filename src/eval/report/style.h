// The style sheet of report pages.
#pragma once

#include <string_view>

namespace evo::eval {

/// Light by default, so that print is; dark on screens that ask for it. Texts are set in a serif,
/// tables and pictures, which are scanned and not read, without.
inline constexpr std::string_view kReportStyle = R"(
:root{--ink:#1d1f23;--muted:#5c6470;--line:#dfe2e6;--paper:#fff;--shade:#f5f6f8;--bar:#ccd3dc;
--link:#0b5cad;--better:#00694b;--worse:#a83f00;
--run0:#0072b2;--run1:#c25000;--run2:#00825f;--run3:#b0568c;--run4:#8a6800;--run5:#3d8fc4;
--text:Charter,"Bitstream Charter","Iowan Old Style","Palatino Linotype",Georgia,serif;
--data:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--muted:#9aa4af;--line:#2f353d;
--paper:#15181c;--shade:#1c2026;--bar:#3c4653;--link:#7db8f0;--better:#4fd1a5;--worse:#ff9d5c;
--run0:#56b4e9;--run1:#ff8c42;--run2:#2ecc9b;--run3:#e39ac4;--run4:#f0e442;--run5:#a9c4ff}}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.55 var(--text)}
header,main{max-width:62rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:3.2rem}
main{padding-bottom:4rem}
.kicker{margin:0 0 .3rem;font:600 .78rem/1.2 var(--data);letter-spacing:.09em;
text-transform:uppercase;color:var(--muted)}
h1{margin:0 0 .4rem;font-size:2.3rem;line-height:1.12;font-weight:600;letter-spacing:-.012em;
overflow-wrap:anywhere}
h2{margin:3.2rem 0 1rem;padding-top:.9rem;border-top:1px solid var(--line);font-size:1.45rem;
line-height:1.2;font-weight:600}
h3{margin:1.6rem 0 .4rem;font:600 1rem/1.3 var(--data);overflow-wrap:anywhere}
p,li{max-width:42rem}
.lead{margin:.2rem 0 1.2rem;font-size:1.12rem;color:var(--muted)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.3rem;margin:0;padding:0;list-style:none;
font:.88rem/1.7 var(--data)}
a{color:var(--link);text-underline-offset:.18em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--link);outline-offset:3px;border-radius:2px}
.scroll{overflow-x:auto;margin:1rem 0 1.4rem}
table{border-collapse:collapse;font:.9rem/1.4 var(--data);font-variant-numeric:tabular-nums}
caption{caption-side:top;text-align:left;padding:0 0 .55rem;color:var(--muted);font-size:.86rem}
th,td{padding:.42rem 1.1rem .42rem 0;text-align:left;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:600;border-bottom:1.5px solid var(--ink);vertical-align:bottom}
tbody{border-bottom:1px solid var(--line)}
tbody th{font-weight:600}
tbody tr:not(:first-child) td{padding-top:0;color:var(--muted)}
.values tbody th,.facts tbody th{position:sticky;left:0;background:var(--paper)}
.facts tbody tr td,.bins tbody tr td{color:inherit;padding-top:.42rem}
.facts tbody{border:0}
.facts tbody tr{border-bottom:1px solid var(--line)}
.facts td{overflow-wrap:anywhere;min-width:10.2rem}
.num{text-align:right;white-space:nowrap}thead .num{white-space:normal}
.detail{display:block;font-weight:400;font-size:.8rem;color:var(--muted);white-space:nowrap}
.better{color:var(--better);font-weight:600}
.worse{color:var(--worse);font-weight:600}
figure{margin:1.2rem 0 0}
figcaption{font:.86rem/1.45 var(--data);color:var(--muted);max-width:42rem;margin-bottom:.7rem}
figcaption strong{color:var(--ink);font-weight:600;overflow-wrap:anywhere}
.grid-of{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(17.5rem,100%),1fr));
gap:1.2rem 1.8rem;align-items:end}
.grid-of figure{max-width:23rem;width:100%}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;margin:0 0 .5rem;padding:0;list-style:none;
font:.86rem/1.6 var(--data)}
.legend svg.chance-sign{width:.5em;height:1em;vertical-align:-.16em;margin-right:.35em}
.chance-sign path{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 2.5}
details{border-bottom:1px solid var(--line)}
details:first-of-type{border-top:1px solid var(--line)}
summary{padding:.55rem 0;font:.94rem/1.4 var(--data);cursor:pointer;overflow-wrap:anywhere}
details[open]>summary{font-weight:600}
details .scroll{margin-top:.4rem}
details caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.numbers{margin:1.2rem 0}
.numbers details{border:0}
.numbers summary{font-size:.86rem;padding:.2rem 0}
.map{min-width:40rem}
.map svg{display:block;width:100%;height:auto;overflow:visible}
.map svg .paper{fill:none}
.notes{padding-left:1.2rem;font-size:.97rem}
.notes li{margin:.5rem 0;overflow-wrap:anywhere}
@media (max-width:34rem){body{font-size:16px}header{padding-top:1.8rem}h1{font-size:1.75rem}
header,main{padding-left:1rem;padding-right:1rem}table{font-size:.84rem}
th,td{padding-right:.8rem}}
@media print{body{font-size:10.5pt}header,main{max-width:none;padding:0}nav{display:none}
h2{break-after:avoid}tbody,figure{break-inside:avoid}.scroll{overflow:visible}
:not(.numbers)>details::details-content{content-visibility:visible;block-size:auto}
.map{width:auto!important;min-width:0}}
)";

}  // namespace evo::eval
