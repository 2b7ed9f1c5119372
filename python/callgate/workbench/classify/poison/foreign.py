"""Patterns of instructions to the model in other languages than English."""

# ruff: noqa: E501, RUF001  a pattern is one line, as long as it is, in the letters of its language
from __future__ import annotations

import re
from typing import Final

_OVERRIDE: Final = "sets aside other instructions"
_HIDE: Final = "hides something from people"

_SET_ASIDE_LATIN: Final = (
    # Spanish, Portuguese, French, Italian, German, Dutch, Polish, Turkish, Swedish, Indonesian.
    r"\b(?:ignora|ignore|ignorar|olvida|olvide|descarta|desatiende|omite)\b.{0,30}\b(?:instrucciones|órdenes|ordenes|indicaciones|reglas)\b",
    r"\b(?:ignore|ignora|ignorar|esqueça|esqueca|desconsidere|despreze)\b.{0,30}\b(?:instruções|instrucoes|regras|ordens|orientações)\b",
    r"\b(?:ignore[rz]?|oublie[rz]?|fais abstraction|ne tiens? pas compte|ne tenez pas compte)\b.{0,30}\b(?:instructions|consignes|règles|regles|directives)\b.{0,20}\b(?:précédentes?|precedentes?|antérieures?|ci-dessus|système|du système)\b",
    r"\b(?:ignora(?:re)?|dimentica(?:re)?|tralascia)\b.{0,30}\b(?:istruzioni|regole|indicazioni|direttive)\b",
    r"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*|beachte\w* nicht)\b.{0,40}\b(?:anweisungen|instruktionen|regeln|vorgaben|befehle)\b",
    r"\b(?:negeer|vergeet)\b.{0,30}\b(?:instructies|aanwijzingen|regels|opdrachten)\b",
    r"\b(?:zignoruj|ignoruj|zapomnij)\b.{0,30}\b(?:instrukcj\w+|polece\w+|zasad\w*|regu\w+)\b",
    r"\b(?:talimatları|talimatlari|kuralları|komutları)\b.{0,20}\b(?:yok say|görmezden gel|unut|dikkate alma)\w*",
    r"\b(?:ignorera|glöm)\b.{0,30}\b(?:instruktioner|regler|anvisningar)\b",
    r"\b(?:abaikan|lupakan)\b.{0,20}\b(?:instruksi|perintah|aturan)\b",
    r"\b(?:bỏ qua|bo qua)\b.{0,30}\b(?:hướng dẫn|chỉ dẫn|lệnh|huong dan)\b",
)
_SET_ASIDE_OTHER: Final = (
    # Russian, Ukrainian, Chinese, Japanese, Korean, Arabic, Hindi, Hebrew, Persian.
    r"(?:игнорируй|проигнорируй|забудь|не обращай внимания на|ігноруй|забудь про)\w*.{0,30}(?:инструкци|указани|правил|команд|інструкці|вказівк)",
    r"(?:忽略|忽视|无视|忘记|忘掉|不要理会|無視|忽視).{0,12}(?:指令|指示|说明|提示|规则|命令|說明|規則|要求)",
    r"(?:指示|命令|ルール|指令|プロンプト).{0,6}(?:無視|忘れ|従わない)",
    r"(?:지시|명령|규칙|지침|프롬프트).{0,8}(?:무시|잊어|따르지)",
    r"(?:تجاهل|انس|انسَ).{0,25}(?:التعليمات|الأوامر|القواعد|تعليمات)",
    r"(?:निर्देश|निर्देशों|आदेश|नियम).{0,20}(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल)",
    r"(?:התעלם|תתעלם|שכח).{0,25}(?:ההוראות|הוראות|הכללים)",
    r"(?:نادیده|فراموش).{0,25}(?:دستور|بگیر|قوانین)",
)
_LEFT_OUT_LATIN: Final = (
    r"\bno (?:le )?(?:digas|informes|menciones|reveles|avises|cuentes|notifiques)\b.{0,30}\b(?:usuario|usuaria|nadie)\b",
    r"\bnão (?:diga|informe|mencione|revele|conte|avise)\b.{0,30}\b(?:usuário|usuario|ninguém)\b",
    r"\bne (?:le )?(?:dis|dites|mentionne[rz]?|révèle[rz]?|informe[rz]?|préviens|signale[rz]?)\b.{0,20}\bpas\b.{0,30}\b(?:utilisateur|personne)\b|\bsans (?:en )?(?:informer|prévenir|avertir)\b.{0,15}\butilisateur",
    r"\bnon (?:dire|informare|menzionare|rivelare|avvisare)\b.{0,30}\butente\b",
    r"\b(?:sag\w*|erwähn\w*|informier\w*|verrat\w*|teil\w*)\b.{0,30}\b(?:nutzer|benutzer|anwender)\w*\b.{0,30}\bnicht\b|\bohne (?:den |dem |die )?(?:nutzer|benutzer|anwender)\w* (?:zu informieren|davon zu)|\b(?:nutzer|benutzer)\w*\b.{0,15}\b(?:nichts|nicht)\b.{0,20}\b(?:sagen|davon|mitteilen|erzählen)\b",
    r"\bvertel\b.{0,30}\bgebruiker\b.{0,20}\bniet\b",
    r"\bkullanıcıya\b.{0,20}\b(?:söyleme|bildirme|bahsetme)",
    r"\bnie mów\b.{0,20}\bużytkownik",
)
_LEFT_OUT_OTHER: Final = (
    r"(?:не говори|не сообщай|не рассказывай|не упоминай|не показывай)\w*.{0,30}(?:пользовател|никому)",
    r"(?:不要|别|請勿|请勿|勿).{0,4}(?:告诉|告訴|通知|提及|透露|让).{0,6}(?:用户|用戶|使用者)",
    r"ユーザー?(?:に|には).{0,12}(?:言わない|伝えない|知らせない|教えない|伝えず|言わず|知らせず)",
    r"사용자(?:에게|한테).{0,12}(?:말하지|알리지|언급하지|보여주지)",
    r"(?:لا تخبر|لا تذكر|دون إخبار|دون علم).{0,20}المستخدم",
    r"(?:उपयोगकर्ता|यूज़र|यूजर).{0,20}(?:मत बता|न बता|नहीं बता)",
)


def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


FOREIGN: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    (_OVERRIDE, _any(_SET_ASIDE_LATIN)),
    (_OVERRIDE, _any(_SET_ASIDE_OTHER)),
    (_HIDE, _any(_LEFT_OUT_LATIN)),
    (_HIDE, _any(_LEFT_OUT_OTHER)),
)
